import { visit } from "../visit.js"

export const getServerSideProps = async () => ({ props: { answers: await visit("page") } })

export default function Page({ answers }) {
  return <p>{answers}</p>
}
