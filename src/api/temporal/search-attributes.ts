import proto, { type temporal } from '@temporalio/proto';
import { searchAttributeTypes } from '../../job/search-attributes.js';
import type { Temporal } from './connection.js';

const { IndexedValueType } = proto.temporal.api.enums.v1;
const types = {
  keyword: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  datetime: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
} satisfies Record<string, temporal.api.enums.v1.IndexedValueType>;

/** Registers the attributes that jobs are found by; those that are there already stay. */
export async function registerSearchAttributes(engine: Temporal): Promise<void> {
  const entries = Object.entries(searchAttributeTypes).map(([name, type]) => [name, types[type]] as const);
  const { namespace } = engine;
  await engine.call((_service, operator) =>
    operator.addSearchAttributes({ namespace, searchAttributes: Object.fromEntries(entries) }),
  );
}
