/** What to do about a delivery that failed: by the status of the answer, or the code of the connection. */

const byStatus: { readonly [status: number]: string } = {
  401: "The API does not know this write key. Compare it with the key on the settings page of the source",
  403: "The API refuses this write key. The source may be disabled, or the key may be of another workspace",
  404: "There is no such endpoint. Look at --host and --path: the default path is /v1/batch",
  413: "The request is too large for this API. Give a smaller --batch-size",
  429: "The API limits the rate. Try again later, or give a lower --rate"
}

const byCode: { readonly [code: string]: string } = {
  timeout: "Nothing answered in time. Look at firewalls and proxies, or give a longer --request-timeout",
  ECONNREFUSED: "Nothing listens there. Look at the host and the port; is the server running?",
  ECONNRESET: "The connection was cut. A proxy or a firewall may be in the way",
  ENOTFOUND: "There is no such host. Look for a typing error in --host, and at the DNS of this machine",
  EAI_AGAIN: "The name could not be resolved. Look at the DNS and the network of this machine",
  ENETUNREACH: "There is no network to this host",
  EHOSTUNREACH: "There is no way to this host",
  CERT_HAS_EXPIRED: "The certificate of the host has expired. Renew it; also look at the clock of this machine",
  CERT_NOT_YET_VALID: "The certificate is not valid yet. Look at the clock of this machine",
  ERR_TLS_CERT_ALTNAME_INVALID: "The certificate is for another host name. Look at --host",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The certificate is self-signed. Trust its authority with NODE_EXTRA_CA_CERTS=ca.pem",
  SELF_SIGNED_CERT_IN_CHAIN: "A proxy may replace certificates. Trust its authority with NODE_EXTRA_CA_CERTS=ca.pem",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "The authority of the certificate is unknown. Trust it with NODE_EXTRA_CA_CERTS=ca.pem",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    "The authority of the certificate is unknown. Trust it with NODE_EXTRA_CA_CERTS=ca.pem",
  ERR_SSL_WRONG_VERSION_NUMBER: "The port does not speak TLS. Look at the port, and at http or https in --host",
  EPROTO: "The port does not speak TLS. Look at the port, and at http or https in --host"
}

/** What to do, if anything is known about it. */
export const adviceOn = (failure: {
  readonly status?: number | undefined
  readonly detail?: string | undefined
}): string | undefined => {
  if (failure.detail !== undefined && byCode[failure.detail] !== undefined) return byCode[failure.detail]
  const { status } = failure
  if (status === undefined) return undefined
  if (byStatus[status] !== undefined) return byStatus[status]
  if (status >= 300 && status < 400)
    return "The host redirects, and redirects are not followed. Give the address it points to as --host"
  if (status >= 500) return "The API has a problem of its own. Try again later"
  return undefined
}
