/**
 * Locks of files that are always empty. The lock is SQLite's, since it ends with the process, however that ends.
 */
import * as Fs from "node:fs"
import { OutboxUnavailable } from "../AnalyticsError.ts"
import { connect } from "./SqliteClient.ts"

/**
 * Takes the lock of a file, for as long as the answer is not called. Waits for it for so many milliseconds, and the process with
 * it; then it throws SQLite's error.
 */
export const take = (file: string, timeout: number): (() => void) => {
  makeFile(file)
  const guard = connect(file, timeout)
  try {
    guard.exec("BEGIN EXCLUSIVE")
    return () => guard.close()
  } catch (cause) {
    guard.close()
    throw cause
  }
}

/**
 * Makes sure that a file is there. Its maker decides on its permissions: for this user only. One that is there is not even
 * opened: closing it would end the locks that this process has on it.
 */
export const makeFile = (file: string): void => {
  const stats = Fs.lstatSync(file, { throwIfNoEntry: false })
  if (stats === undefined) return create(file)
  if (stats.isFile()) return
  const kind = stats.isSymbolicLink() ? "a symbolic link" : stats.isDirectory() ? "a directory" : "not a file"
  throw new OutboxUnavailable({ problem: `could not be opened: ${file} is ${kind}` })
}

const create = (file: string): void => {
  try {
    Fs.closeSync(Fs.openSync(file, "ax", 0o600))
  } catch (cause) {
    // Another process was faster.
    if ((cause as { readonly code?: unknown }).code !== "EEXIST") throw cause
  }
}
