/** Next.js is installed with the runtimes only; this is as much of it as the handler of the guide needs. */
declare module "next/server" {
  export const after: (task: () => unknown) => void
}
