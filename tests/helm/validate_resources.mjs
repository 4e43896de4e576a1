// Reads a JSON list of custom resources from standard input, holds each against the schema that its operator
// publishes, and prints what is wrong with it. Patterns, ranges and required fields; unknown fields pass here.
import { readFileSync } from "node:fs";

const PACKAGES = {
  "monitoring.coreos.com": "prometheus-operator",
  "keda.sh": "keda",
  "gateway.networking.k8s.io": "gateway-api",
};

let failed = false;
for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const [group, version] = resource.apiVersion.split("/");
  const models = await import(`@kubernetes-models/${PACKAGES[group]}/${group}/${version}`);
  try {
    new models[resource.kind](resource).validate();
  } catch (error) {
    failed = true;
    console.log(`${resource.kind} ${resource.metadata.name}: ${error.message}`);
  }
}
process.exit(failed ? 1 : 0);
