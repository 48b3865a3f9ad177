package chaos

import (
	"reflect"
	"regexp"
	"strings"

	"github.com/chaos-mesh/chaos-mesh/api/v1alpha1"
)

// body is one chaos specification, wherever it stands: at the top, in a Schedule, or in a template
// of a Workflow.
type body struct {
	path    string                // where its fields stand: spec, spec.podChaos, spec.templates[2].podChaos
	kind    string                // PodChaos, …
	object  v1alpha1.GenericChaos // the specification in an object of its own kind
	inside  bool                  // in a Workflow, where the template's deadline is the duration
	missing bool                  // there is no body: object is nil, and the webhook would crash
}

// embeddedKey is the YAML key under which a chaos kind stands in a Schedule or a template.
var embeddedKey = func() map[string]string {
	keys := make(map[string]string)
	t := reflect.TypeFor[v1alpha1.EmbedChaos]()
	for i := range t.NumField() {
		keys[t.Field(i).Name] = jsonName(t.Field(i))
	}
	return keys
}()

// bodies lists all chaos specifications of a resource.
func bodies(obj resource) []body {
	switch obj := obj.(type) {
	case *v1alpha1.Schedule:
		if obj.Spec.Type == v1alpha1.ScheduleTypeWorkflow {
			if obj.Spec.Workflow == nil {
				return []body{{path: "spec.workflow", kind: "Workflow", missing: true}}
			}
			return templateBodies("spec.workflow.templates", obj.Spec.Workflow.Templates)
		}
		return embedded("spec", string(obj.Spec.Type), &obj.Spec.EmbedChaos, false)
	case *v1alpha1.Workflow:
		return templateBodies("spec.templates", obj.Spec.Templates)
	case v1alpha1.GenericChaos:
		return []body{{path: "spec", kind: obj.GetObjectKind().GroupVersionKind().Kind, object: obj}}
	}
	return nil
}

func templateBodies(path string, templates []v1alpha1.Template) (all []body) {
	for i, t := range templates {
		at := indexed(path, i)
		switch {
		case t.Type == v1alpha1.TypeSchedule && t.Schedule != nil:
			all = append(all, embedded(at+".schedule", string(t.Schedule.Type), &t.Schedule.EmbedChaos, false)...)
		case v1alpha1.IsChaosTemplateType(t.Type): // upstream counts Schedule among them
			all = append(all, embedded(at, string(t.Type), t.EmbedChaos, true)...)
		}
	}
	return all
}

// embedded returns the body of this kind among those that e may hold.
func embedded(path, kind string, e *v1alpha1.EmbedChaos, inside bool) []body {
	key, ok := embeddedKey[kind]
	if !ok {
		return nil // the schema or the webhook refuses the type
	}
	b := body{path: path + "." + key, kind: kind, inside: inside}
	if e == nil || reflect.ValueOf(e).Elem().FieldByName(kind).IsNil() {
		b.missing = true
		return []body{b}
	}
	object, err := e.SpawnNewObject(v1alpha1.TemplateType(kind))
	if err != nil {
		return nil // not a kind that can be embedded; the webhook says so
	}
	b.object = object
	return []body{b}
}

// lacksBody reports whether the webhook would follow a nil pointer.
func lacksBody(obj resource) bool {
	for _, b := range bodies(obj) {
		if b.missing {
			return true
		}
	}
	return false
}

// yamlPath turns a path of Go fields, as the webhook names them, into one of YAML keys:
// Spec.TcParameter.Delay.Latency of a PodChaos in a Schedule is spec.podChaos.delay.latency.
func (b *body) yamlPath(goPath string) string { return yamlPath(b.path, b.object, goPath) }

// yamlPath is the same for any object whose spec stands at path.
func yamlPath(path string, object any, goPath string) string {
	t := reflect.TypeOf(object)
	for i, part := range strings.Split(goPath, ".") {
		m := indexedField.FindStringSubmatch(part)
		if m == nil {
			return path
		}
		name, idx := m[1], m[2]
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		key, inline := name, false
		if t.Kind() == reflect.Struct {
			if f, ok := t.FieldByName(name); ok {
				t, key = f.Type, jsonName(f)
				inline = key == ""
			}
		}
		// The first part is Spec, for which path stands. The webhook of PhysicalMachineChaos says
		// spec again below it, when it means the whole.
		if i > 0 && !inline && key != "spec" {
			path += "." + key
		}
		path += idx
	}
	return path
}

var indexedField = regexp.MustCompile(`^(\w+)((?:\[\d+\])*)$`)

// jsonName is the key of a field; empty if the field is inlined.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
