// Package certs makes and reads the certificates by which the parts of Weir know each other: one authority for a
// cluster, and one certificate for each provider node, gateway and operator.
//
// An identity is a URI in the certificate: weir://CLUSTER/node/NAME, weir://CLUSTER/gateway/NAME or
// weir://CLUSTER/operator/NAME, CLUSTER being the cluster's UUID. Nodes also carry the DNS name that ServerName
// returns, which no other role gets: so ordinary TLS verification against it proves that the peer is a provider node
// of this cluster, whatever address it was reached at, and a stolen gateway certificate can not pose as a provider.
//
// A folder holds one identity: ca.crt, node.crt and node.key. The authority's folder holds ca.crt and ca.key; only
// issuing certificates needs it. Keys are ECDSA P-256 in PKCS #8, files of keys have mode 0600.
package certs
