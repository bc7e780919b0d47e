// The colours that were chosen, if any were; else they are those of the device.
try {
  document.documentElement.dataset.theme = localStorage.getItem("reservations.theme") ?? "";
} catch {
  // Where nothing may be kept, nothing was chosen.
}
