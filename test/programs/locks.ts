/** Takes the lock of a database, says so, and lets go when it is told to. */
import { DatabaseSync } from "node:sqlite"

const [file = ""] = process.argv.slice(2)
const database = new DatabaseSync(file)
database.exec("BEGIN IMMEDIATE")
process.once("message", () => {
  database.exec("COMMIT")
  process.disconnect()
})
process.send?.("locked")
