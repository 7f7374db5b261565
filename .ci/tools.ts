/** Tools that are no part of the project's own install: a folder with a lock file of its own, installed when it is used. */
import { execFileSync } from "node:child_process"
import { copyFileSync, existsSync, readFileSync } from "node:fs"
import * as path from "node:path"

/** The path of a folder of tools in `.ci`, installed as its lock file says. */
export const installed = (name: string): string => {
  const folder = path.join(import.meta.dirname, name)
  const [wanted, done] = [path.join(folder, "package-lock.json"), path.join(folder, "node_modules", "installed.json")]
  if (!existsSync(done) || readFileSync(done, "utf8") !== readFileSync(wanted, "utf8")) {
    execFileSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
      cwd: folder,
      // npm is a script of the shell on Windows.
      shell: process.platform === "win32",
      stdio: ["ignore", "ignore", "inherit"]
    })
    copyFileSync(wanted, done)
  }
  return folder
}
