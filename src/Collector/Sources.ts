/** Write keys by the names that people see: the last four characters, and a number where two keys end alike. */
import { createHash } from "node:crypto"

/** How many keys are told apart. */
const maxSources = 1_000

export class Sources {
  /** By digest: the keys themselves are not kept. */
  private readonly names = new Map<string, string>()
  private readonly taken = new Map<string, number>()

  nameOf(key: string): string {
    const digest = createHash("sha256").update(key).digest("base64")
    const known = this.names.get(digest)
    if (known !== undefined) return known
    const masked = key.length < 12 ? "••••" : `…${key.slice(-4)}`
    if (this.names.size >= maxSources) return masked
    const same = (this.taken.get(masked) ?? 0) + 1
    this.taken.set(masked, same)
    const name = same === 1 ? masked : `${masked} (${same})`
    this.names.set(digest, name)
    return name
  }
}
