/** The tarball of the package: the one that `TARBALL` names, so that several checks share it, or one that is packed here. */
import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Its path. A new one is written to this directory. */
export const tarballIn = (directory: string): string => {
  const { TARBALL } = process.env
  if (TARBALL) return TARBALL
  const printed = execFileSync("npm", ["pack", "--silent", "--pack-destination", directory], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"]
  })
  return join(directory, printed.trim().split("\n").at(-1) ?? "")
}
