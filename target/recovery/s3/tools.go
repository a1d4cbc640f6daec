//go:build tools

// Package s3 pins the S3 server that the Dockerfile beside this file builds.
// It holds no code of its own: go.mod names the version, go.sum the hashes of all sources.
package s3

import _ "github.com/versity/versitygw/cmd/versitygw"
