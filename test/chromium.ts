/**
 * Chromium from its npm package, unpacked beside the package, with the libraries and fonts that a bare machine lacks: they
 * come in the same package. It is for Linux on x64; elsewhere `CHROMIUM_PATH` names a browser of the system.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import * as path from "node:path"

/** Flags for a browser on a machine without a screen. */
export const flags = [
  "--headless=shell",
  "--no-sandbox",
  "--no-zygote",
  "--disable-gpu",
  "--disable-software-rasterizer",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-quic"
]

export const chromiumFiles = async (): Promise<{
  readonly file: string
  readonly env: Record<string, string | undefined>
}> => {
  const ofSystem = process.env.CHROMIUM_PATH
  if (ofSystem !== undefined) return { file: ofSystem, env: process.env }
  const home = path.dirname(path.dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium")))
  const { inflate }: { readonly inflate: (file: string) => Promise<string> } = await import("@sparticuz/chromium")
  const unpacked = path.join(home, "..", ".unpacked")
  await mkdir(unpacked, { recursive: true })
  // It unpacks to where temporary files go, and takes what it finds there, of whatever version, for unpacked.
  const before = process.env.TMPDIR
  process.env.TMPDIR = unpacked
  try {
    const [file, libraries, fonts] = await Promise.all(
      ["chromium", "al2023.tar", "fonts.tar"].map((name) => inflate(path.join(home, "bin", `${name}.br`)))
    )
    const fontsFile = path.join(unpacked, "fonts.conf")
    const directories = [fonts ?? "", "/usr/share/fonts", "/usr/local/share/fonts"].map((name) => `<dir>${name}</dir>`)
    const cache = `<cachedir>${path.join(unpacked, "fonts-cache")}</cachedir>`
    const mono = "<alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>"
    await writeFile(fontsFile, `<?xml version="1.0"?><fontconfig>${directories.join("")}${cache}${mono}</fontconfig>`)
    const env = {
      ...process.env,
      LD_LIBRARY_PATH: path.join(libraries ?? "", "lib"),
      FONTCONFIG_FILE: fontsFile
    }
    return { file: file ?? "", env }
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
}
