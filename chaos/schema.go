package chaos

import (
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// The schemas that a cluster holds for the Chaos Mesh kinds, as crds/generate.sh makes them.
//
//go:embed crds/*.yaml.gz
var crds embed.FS

// schemaFiles has the file of each kind. A schema is read when a document of its kind turns up:
// those of Workflow and Schedule are large.
var schemaFiles = map[string]string{
	"AWSChaos": "awschaos", "AzureChaos": "azurechaos", "BlockChaos": "blockchaos", "DNSChaos": "dnschaos",
	"GCPChaos": "gcpchaos", "HTTPChaos": "httpchaos", "IOChaos": "iochaos", "JVMChaos": "jvmchaos",
	"KernelChaos": "kernelchaos", "NetworkChaos": "networkchaos", "PhysicalMachineChaos": "physicalmachinechaos",
	"PodChaos": "podchaos", "Schedule": "schedules", "StatusCheck": "statuschecks", "StressChaos": "stresschaos",
	"TimeChaos": "timechaos", "Workflow": "workflows",
}

// Kinds returns the kinds of Chaos Mesh that a user may write, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(schemaFiles)) }

// schema is what the API server of a cluster makes of a custom resource definition.
type schema struct {
	structural *structural.Structural
	validator  validation.SchemaValidator
}

var schemas = struct {
	sync.Mutex
	byKind map[string]*schema
}{byKind: make(map[string]*schema)}

// schemaOf reads the schema of a kind, once.
func schemaOf(kind string) (*schema, error) {
	schemas.Lock()
	defer schemas.Unlock()
	if s := schemas.byKind[kind]; s != nil {
		return s, nil
	}
	s, err := readSchema(kind)
	if err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", kind, err)
	}
	schemas.byKind[kind] = s
	return s, nil
}

func readSchema(kind string) (*schema, error) {
	f, err := crds.Open(path.Join("crds", schemaFiles[kind]+".yaml.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	var crd apiextv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &crd); err != nil {
		return nil, err
	}
	if n := len(crd.Spec.Versions); n != 1 {
		return nil, fmt.Errorf("the definition has %d versions, want 1", n)
	}
	var props apiextensions.JSONSchemaProps
	if err := apiextv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil); err != nil {
		return nil, err
	}
	st, err := structural.NewStructural(&props)
	if err != nil {
		return nil, err
	}
	v, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return nil, err
	}
	return &schema{structural: st, validator: v}, nil
}

// schemaProblems is layer 2: what the API server of a cluster would say before any webhook.
func schemaProblems(doc *document) (problems Problems) {
	s, err := schemaOf(doc.value("kind").Value)
	if err != nil {
		return Problems{doc.problem("kind", "run go generate ./chaos", "%v", err)}
	}
	asJSON, err := yaml.YAMLToJSON(doc.text)
	if err != nil {
		return Problems{doc.notYAML(err)}
	}
	var obj map[string]any
	if err := json.Unmarshal(asJSON, &obj); err != nil {
		return Problems{doc.problem("", "compare with chaos/experiments", "cannot be read: %v", err)}
	}
	unknown := pruning.PruneWithOptions(obj, s.structural, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	for _, path := range unknown {
		problems = append(problems, doc.unknown(path, s.fieldsBeside(path)))
	}
	defaulting.Default(obj, s.structural)
	for _, e := range validation.ValidateCustomResource(nil, obj, s.validator) {
		problems = append(problems, doc.schemaProblem(e))
	}
	return problems
}

// fieldsBeside returns the fields that exist where the last one of the path does not.
func (s *schema) fieldsBeside(path string) []string {
	at := s.structural
	parts := strings.Split(path, ".")
	for _, part := range parts[:len(parts)-1] {
		name, item, _ := strings.Cut(part, "[")
		next, ok := at.Properties[name]
		if !ok {
			return nil
		}
		if at = &next; item != "" {
			if at.Items == nil {
				return nil
			}
			at = at.Items
		}
	}
	return slices.Sorted(maps.Keys(at.Properties))
}

// schemaProblem puts a message of the schema into words.
func (d *document) schemaProblem(e *field.Error) Problem {
	path := e.Field
	switch e.Type {
	case field.ErrorTypeRequired:
		return d.problem(path, "add it", "it is missing")
	case field.ErrorTypeNotSupported:
		return d.problem(path, "use one of "+supported(e.Detail), "%v is not supported", quoted(e.BadValue))
	case field.ErrorTypeTypeInvalid, field.ErrorTypeInvalid:
		if want, ok := wantedType(e.Detail); ok {
			what, do := d.wrongType(path, want)
			return d.problem(path, do, "%s", what)
		}
	}
	// The schema repeats the path in its details.
	detail := strings.TrimPrefix(e.Detail, path+" in body ")
	return d.problem(path, advice(path), "%v %s", quoted(e.BadValue), detail)
}

// supported takes the values out of: supported values: "a", "b".
func supported(detail string) string {
	return strings.ReplaceAll(strings.TrimPrefix(detail, "supported values: "), `"`, "")
}

func quoted(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case nil:
		return "null"
	case map[string]any, []any:
		return "the value"
	}
	return fmt.Sprint(v)
}

var ofType = regexp.MustCompile(`must be of type (\w+)`)

// wantedType takes the type out of: spec.value in body must be of type string: "integer".
func wantedType(detail string) (string, bool) {
	m := ofType.FindStringSubmatch(detail)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// wrongType explains a value of the wrong type. The common trap is YAML itself, which reads 2 as a
// number and, in the version that Kubernetes uses (1.1), y, yes, on, n, no and off as true or false.
func (d *document) wrongType(path, want string) (what, do string) {
	n := d.value(path)
	if n != nil && n.Kind == yamlv3.MappingNode && want == "string" {
		return "its values must be strings", "put them in quotes"
	}
	if n == nil || n.Value == "" || want != "string" {
		return "must be of type " + want, fmt.Sprintf("write %s", article(want))
	}
	do = fmt.Sprintf("put it in quotes: %q", n.Value)
	if yaml11Bool.MatchString(n.Value) {
		return fmt.Sprintf("YAML reads %s without quotes as true or false, and a string is wanted", n.Value), do
	}
	return fmt.Sprintf("YAML reads %s without quotes as something other than a string, and a string is wanted", n.Value), do
}

var yaml11Bool = regexp.MustCompile(`^(y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)

func article(typ string) string {
	switch typ {
	case "object":
		return "a mapping (indented key: value lines)"
	case "array":
		return "a list (lines with -)"
	case "integer":
		return "a whole number"
	}
	return "a " + typ
}
