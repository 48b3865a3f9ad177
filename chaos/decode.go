package chaos

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/chaos-mesh/chaos-mesh/api/v1alpha1"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	k8svalidation "k8s.io/apimachinery/pkg/util/validation"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// resource is what every Chaos Mesh type that a user may write can do.
type resource interface {
	runtime.Object
	metav1.Object
	Default(context.Context, runtime.Object) error
	ValidateCreate(context.Context, runtime.Object) (admission.Warnings, error)
}

const apiVersion = "chaos-mesh.org/v1alpha1"

// decoder is the strict decoder of a cluster's API server.
var decoder = sync.OnceValues(func() (runtime.Decoder, error) {
	// The library complains after 30 s if nobody said where its logs go. They go nowhere: all that
	// the webhooks log is that they were called.
	ctrllog.SetLogger(logr.Discard())
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	return json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true}), nil
})

// validate runs the four layers over a document.
func validate(doc *document) (resource, Problems) {
	// Without these the other layers would judge something that the author did not mean.
	if ps := append(doc.repeated(), doc.identify()...); len(ps) > 0 {
		return nil, ps.tidy()
	}
	problems := schemaProblems(doc) // before decoding, because it says the same better
	obj, ps := decode(doc)
	problems = problems.and(ps)
	if obj != nil {
		problems = problems.and(lint(doc, obj))
		problems = problems.and(webhookProblems(doc, obj))
	}
	return obj, problems.tidy()
}

// identify checks what the resource calls itself.
func (d *document) identify() (problems Problems) {
	text := func(path string) string {
		if n := d.value(path); n != nil {
			return n.Value
		}
		return ""
	}
	switch v := text("apiVersion"); {
	case v == "":
		problems = append(problems, d.problem("apiVersion", "write apiVersion: "+apiVersion, "it is missing"))
	case v != apiVersion:
		problems = append(problems, d.problem("apiVersion", "write apiVersion: "+apiVersion, "%q is not a Chaos Mesh version", v))
	}
	kinds := Kinds()
	switch k := text("kind"); {
	case k == "":
		problems = append(problems, d.problem("kind", "use one of "+strings.Join(kinds, ", "), "it is missing"))
	case !slices.Contains(kinds, k):
		do := "use one of " + strings.Join(kinds, ", ")
		if near := nearest(k, kinds); near != "" {
			do = fmt.Sprintf("did you mean %s?", near)
		}
		problems = append(problems, d.problem("kind", do, "%q is not a kind of Chaos Mesh that a user writes", k))
	}
	name := text("metadata.name")
	if name == "" {
		problems = append(problems, d.problem("metadata.name", "give the experiment a name", "it is missing"))
	} else if errs := k8svalidation.IsDNS1123Subdomain(name); len(errs) > 0 {
		problems = append(problems, d.problem("metadata.name", "use small letters, digits, - and .", "%q is not a name that a cluster accepts", name))
	}
	return problems
}

// unknownField is how the strict decoder reports one.
var unknownField = regexp.MustCompile(`^unknown field "(.*)"$`)

// decode is layer 1: the typed object as a cluster's API server would read it.
func decode(doc *document) (resource, Problems) {
	dec, err := decoder()
	if err != nil {
		return nil, Problems{doc.problem("", "this is a fault of wedsync, please report it", "preparing the decoder: %v", err)}
	}
	obj, _, err := dec.Decode(doc.text, nil, nil)
	var problems Problems
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		for _, err := range strict.Errors() {
			if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
				problems = append(problems, doc.unknown(m[1], nil))
			} else {
				problems = append(problems, doc.notYAML(err))
			}
		}
	} else if err != nil {
		// A value of the wrong type, which the schema has named better unless it is in metadata.
		return nil, Problems{doc.mistyped(err)}
	}
	admitted, ok := obj.(resource)
	if !ok {
		return nil, append(problems, doc.problem("kind", "this is a fault of wedsync, please report it", "the kind has no validator"))
	}
	return admitted, problems
}

// goField is how the decoder names a field of the wrong type.
var goField = regexp.MustCompile(`Go struct field \w+\.([\w.]+) of type (\w+)`)

// mistyped turns a type error of the decoder into a problem. Its path is that of the object in which
// the field was met, so it is right for the top level (metadata) only, which the schema leaves alone.
func (d *document) mistyped(err error) Problem {
	if m := goField.FindStringSubmatch(err.Error()); m != nil && d.value(m[1]) != nil {
		what, do := d.wrongType(m[1], m[2])
		return d.problem(m[1], do, "%s", what)
	}
	return d.problem("", "compare with chaos/experiments", "cannot be read: %v", err)
}

// unknown is the problem of a field that does not exist, where these exist.
func (d *document) unknown(path string, fields []string) Problem {
	do := "remove it, or correct its name"
	name := path[strings.LastIndexByte(path, '.')+1:]
	if near := nearest(name, fields); near != "" {
		do = fmt.Sprintf("did you mean %s?", near)
	}
	return d.problem(path, do, "unknown field")
}

// nearest returns the word that was probably meant, or nothing if none is near.
func nearest(word string, words []string) string {
	best, at := "", max(1, min(3, len(word)/3))+1
	for _, w := range words {
		if d := distance(strings.ToLower(word), strings.ToLower(w)); d < at {
			best, at = w, d
		}
	}
	return best
}

// distance is the Levenshtein distance: how many letters to insert, remove or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
