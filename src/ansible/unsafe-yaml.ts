/**
 * A mapping that Ansible reads as data: `!unsafe` on it holds for every key and value below. Scalars are quoted where
 * YAML 1.1 would read them otherwise than JSON does.
 */
export function unsafeYaml(mapping: object): string {
  return `!unsafe ${yaml(mapping)}\n`;
}

function yaml(value: unknown): string {
  if (typeof value === 'string') return yamlString(value);
  if (typeof value === 'number') return JSON.stringify(value).replace(/^(-?\d+)e/, '$1.0e');
  if (Array.isArray(value)) return `[${value.map(yaml).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return value === true || value === false ? String(value) : 'null';
  return `{${Object.entries(value)
    .map(([key, part]) => `? ${yamlString(key)} : ${yaml(part)}`)
    .join(', ')}}`;
}

/** A JSON string whose characters beyond printable ASCII are YAML escapes; lone surrogates become U+FFFD. */
function yamlString(value: string): string {
  return JSON.stringify(value.replace(/\p{Surrogate}/gu, '\ufffd')).replace(/[^\x20-\x7e]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0xfffd;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}
