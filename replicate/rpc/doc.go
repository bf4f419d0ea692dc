// Package rpc is how gateways, providers and operators talk: gRPC over mutual TLS, described in provider.proto, with
// bulk messages that are not copied on their way (bulk.go), errors that keep their meaning across the wire
// (errors.go), a client that finds the leader (client.go) and the options of a server (server.go).
package rpc

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative provider.proto points.proto
