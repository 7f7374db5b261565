/** The text of what is published, where it differs from the text in the repository. */

interface Manifest {
  readonly version: string
  readonly repository?: string | { readonly url: string } | undefined
}

const ofRepository = new Set(["effect-analytics-source", "devDependencies", "overrides", "allowScripts"])

/** The package.json of the package. */
export const ofPackage = (manifest: Manifest): object =>
  JSON.parse(
    JSON.stringify(manifest, (key, value) => {
      // npm reads the script that restores the file from the file itself.
      if (key === "scripts") return { postpack: value.postpack }
      return ofRepository.has(key) ? undefined : value
    })
  )

/**
 * A page whose links to files that are not packed lead to the repository, as it was at this version. Without a repository in
 * package.json it stays as it is.
 */
export const withLinksTo = ({ repository, version }: Manifest, packed: ReadonlyArray<string>, page: string): string => {
  const url = typeof repository === "string" ? repository : repository?.url
  if (url === undefined) return page
  const address = url.replace(/^git\+/, "").replace(/\.git$/, "")
  return page.replace(
    /(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s]+)\)/g,
    (link: string, image: string, text: string, target: string) =>
      packed.some((file) => file === target.split("#")[0])
        ? link
        : `${image}[${text}](${address}/${image === "" ? "blob" : "raw"}/v${version}/${target})`
  )
}
