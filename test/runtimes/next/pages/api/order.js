import { visit } from "../../visit.js"

export default async function handler(_, response) {
  response.send(await visit("pages api"))
}
