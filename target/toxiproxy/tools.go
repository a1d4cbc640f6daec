//go:build tools

// Package toxiproxy pins the Toxiproxy server that the Dockerfile beside this file builds.
// It holds no code of its own: go.mod names the version, go.sum the hashes of all sources.
package toxiproxy

import _ "github.com/Shopify/toxiproxy/v2/cmd/server"
