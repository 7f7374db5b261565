import { visit } from "../../visit.js"

export const POST = async () => new Response(await visit("app route"))
