// Package peer holds the calls that nodes of the provider cluster make to each other beside those of replicate/rpc.
package peer

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative peer.proto
