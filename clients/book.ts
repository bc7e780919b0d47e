import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Problem = components["schemas"]["Problem"];
const TAKEN: components["schemas"]["Code"] = "timeslot_taken";
const api = createClient<paths>({ baseUrl: process.argv[2] });

/** What was asked for; or else the sentence that the service has for people. */
function granted<T>({ data, error }: { data?: T; error?: Problem }): T {
  if (data === undefined) throw new Error(error?.detail);
  return data;
}

const listed = granted(await api.GET("/provider/list", { params: { query: { limit: 100 } } }));
const ids = listed.providers.map((provider) => provider.provider_id).join(",");
const earliest = { params: { query: { provider_ids: ids, limit: 1 } } };
const found = granted(await api.GET("/client/findTimeslots", earliest));
const [timeslot] = found["available timeslots"];
if (!timeslot) throw new Error("Nobody has a timeslot that can be booked.");

const person = { first_name: "Emmy", last_name: "Noether" };
const { client_id } = granted(await api.POST("/client/create", { body: person }));
const body = { client_id, timeslot_id: timeslot.timeslot_id };
const params = { header: { "Idempotency-Key": randomUUID() } };
const held = granted(await api.POST("/client/reserve", { body, params }))["Reservation scheduled"];
const again = await api.POST("/client/reserve", { body }); // without that key: another request
if (again.error?.code === TAKEN) console.log(`Refused: ${again.error.detail}`);

const firm = { body: { client_id, reservation_id: held.reservation_id } };
const { start_time } = granted(await api.PUT("/client/confirm", firm))["Reservation is confirmed"];
console.log(`Confirmed: ${timeslot.last_name}, ${new Date(start_time).toLocaleString()}`);
