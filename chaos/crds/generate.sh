#!/bin/sh
# Generates the schemas in this folder from the Go types of the Chaos Mesh API, in the version that
# go.mod names. It works in a throw-away module, so go.mod is not touched. Run it with
#
#     go generate ./chaos
#
# after every change of that version; it needs a Go module proxy and about a minute.
set -eu
export GOFLAGS=

api=github.com/chaos-mesh/chaos-mesh/api
version=$(go list -m -f '{{.Version}}' "$api")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
go mod init crds
go get "$api/v1alpha1@$version"
go get -tool sigs.k8s.io/controller-tools/cmd/controller-gen@v0.18.0
# The import makes go.mod complete for controller-gen, which loads the package as the compiler does.
printf 'package crds\n\nimport _ "%s/v1alpha1"\n' "$api" > crds.go
go mod tidy
go tool controller-gen crd:maxDescLen=0 "paths=$api/v1alpha1" output:crd:dir=out

# Only what a user may write. The others are the controller's own records.
rm -f "$here"/*.yaml.gz
for kind in awschaos azurechaos blockchaos dnschaos gcpchaos httpchaos iochaos jvmchaos kernelchaos \
	networkchaos physicalmachinechaos podchaos schedules statuschecks stresschaos timechaos workflows; do
	gzip -9n < "out/chaos-mesh.org_$kind.yaml" > "$here/$kind.yaml.gz"
done
