"""Fail when a requirements file pins what has a known vulnerability. Nothing is installed.

Where the vulnerability service cannot be reached, one line says so and nothing fails.
"""

import json
import re
import subprocess
import sys

# A pin known to be vulnerable is asked about too. A mirror that answers but knows nothing of
# vulnerabilities calls every pin clean; it does not find this one, which tells it apart.
KNOWN_TO_BE_VULNERABLE = ("jinja2", "2.4.1")
SECONDS = 60
AWAY = re.compile(
    r"^(requests\.exceptions\.\w+|pip_audit\._service\.interface\.ServiceError$"
    r"|ERROR:pip_audit\._cli:Tip: your network may be blocking this service)",
    re.MULTILINE,
)


def main(requirements: str) -> int:
    command = [
        *(sys.executable, "-m", "pip_audit", "--disable-pip", "--no-deps", "--timeout", "10"),
        *("--progress-spinner", "off", "--format", "json", "--output", "-"),
        *("--requirement", requirements, "--requirement", "/dev/stdin"),
    ]
    try:
        audit = subprocess.run(
            command,
            input="==".join(KNOWN_TO_BE_VULNERABLE),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return not_done(f"the vulnerability service took longer than {SECONDS} seconds")
    if not audit.stdout:
        if away := AWAY.search(audit.stderr):
            return not_done(f"the vulnerability service cannot be reached ({away[1]})")
        print(audit.stderr)
        return 1
    pins = {pin["name"]: pin for pin in json.loads(audit.stdout)["dependencies"]}
    if not pins.pop(KNOWN_TO_BE_VULNERABLE[0]).get("vulns"):
        return not_done("what answers is not a vulnerability service")
    for name, pin in pins.items():
        if reason := pin.get("skip_reason"):
            print(f"{requirements}: {name} was not audited: {reason}")
        for known in pin.get("vulns", []):
            fixed = ", ".join(known["fix_versions"]) or "nothing yet"
            print(f"{name} {pin['version']}: {known['id']}, fixed in {fixed}")
            print(f"    {known['description'][:300]}")
    return int(any(pin.get("vulns") for pin in pins.values()))


def not_done(reason: str) -> int:
    print(f"The audit for known vulnerabilities was NOT DONE: {reason}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
