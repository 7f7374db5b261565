import { redirect } from "next/navigation"
import { visit } from "../../visit.js"

const order = async () => {
  "use server"
  redirect(`/done?${await visit("server action")}`)
}

export default function Page() {
  return (
    <form action={order}>
      <button type="submit">Order</button>
    </form>
  )
}
