/**
 * What a release needs and daily work does not: the tag is the version, and package.json names the repository. Without it npm
 * refuses the provenance, after the whole CI has run.
 */
import { readFileSync } from "node:fs"

const { repository, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
const { GITHUB_REPOSITORY, TAG } = process.env
const url = typeof repository === "string" ? repository : repository?.url

const problems = []
if (TAG !== `v${version}`)
  problems.push(`the tag is ${TAG ?? "not set (TAG)"}, the version of package.json is ${version}`)
if (!url) {
  problems.push(
    'package.json has no "repository": npm refuses the provenance of a package that does not name where it is built'
  )
} else if (GITHUB_REPOSITORY !== undefined && !url.replace(/\.git$/, "").endsWith(`/${GITHUB_REPOSITORY}`)) {
  problems.push(`"repository" of package.json is ${url}, and this is ${GITHUB_REPOSITORY}`)
}

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exit(1)
console.log(`release: ${TAG}, built in ${url}`)
