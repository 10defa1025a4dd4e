// Checks custom resources (a JSON array on standard input) against the schemas of their projects. The validators
// accept unknown fields. The TypeScript compiler rejects them by the types of the same packages.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const PACKAGES = {
  'gateway.envoyproxy.io': '@kubernetes-models/envoy-gateway',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator',
  'networking.istio.io': '@kubernetes-models/istio',
};

const resources = JSON.parse(readFileSync(0, 'utf8'));
const problems = [];
let source = '';
for (const [index, resource] of resources.entries()) {
  const module = `${PACKAGES[resource.apiVersion.split('/')[0]]}/${resource.apiVersion}/${resource.kind}`;
  const { [resource.kind]: Model } = await import(module);
  try {
    new Model(resource).validate();
  } catch (error) {
    problems.push(`${resource.kind}: ${error.message}`);
  }
  source += `import { I${resource.kind} as T${index} } from ${JSON.stringify(module)};\n`;
  source += `export const r${index}: T${index} = ${JSON.stringify(resource)};\n`;
}

// An in-memory file next to node_modules.
const file = fileURLToPath(new URL('resources.ts', import.meta.url));
const options = { noEmit: true, strict: true, skipLibCheck: true, types: [],
  module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext };
const host = ts.createCompilerHost(options);
const { fileExists, getSourceFile } = host;
host.fileExists = (name) => name === file || fileExists(name);
host.getSourceFile = (name, ...rest) =>
  name === file ? ts.createSourceFile(name, source, ts.ScriptTarget.ESNext) : getSourceFile(name, ...rest);
for (const diagnostic of ts.getPreEmitDiagnostics(ts.createProgram([file], options, host))) {
  problems.push(ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n'));
}

if (problems.length) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${resources.length} passed`);
