/**
 * Workflows run nothing that can change under them, and hold no secret: actions are pinned to commits, `pull_request_target` and
 * tokens are not used, what a job may do is said.
 */
import { readdirSync, readFileSync } from "node:fs"

const folder = new URL("../.github/workflows/", import.meta.url)
const pinned = /^ *(- )?uses: (\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\.\/\S+)$/
const rules = {
  "an action is not pinned to a commit, with its version beside it": (text) =>
    text.split("\n").some((line) => /^ *(- )?uses:/.test(line) && !pinned.test(line)),
  "pull_request_target runs the code of strangers with rights of its own": (text) =>
    text.includes("pull_request_target"),
  "it uses a secret": (text) => /secrets\.|NODE_AUTH_TOKEN|NPM_TOKEN/.test(text),
  "its rights are not to read alone, by default": (text) => !/^permissions:\n {2}contents: read\n\n/m.test(text),
  "a command has an expression in it: strangers may write its text": (text) => /run:[^\n]*\$\{\{/.test(text),
  "a checkout leaves its credentials behind": (text) =>
    text
      .split("actions/checkout@")
      .some((part, at) => at > 0 && !/^.*\n +with:\n +persist-credentials: false\n/.test(part))
}

const problems = readdirSync(folder).flatMap((file) => {
  const text = readFileSync(new URL(file, folder), "utf8")
  return Object.entries(rules).flatMap(([problem, isBroken]) =>
    isBroken(text) ? [`.github/workflows/${file}: ${problem}`] : []
  )
})

for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exit(1)
console.log("workflows: actions are pinned, no secret, no right that is not needed")
