import proto, { type temporal } from '@temporalio/proto';
import { searchAttributeTypes } from '../../job/search-attributes.js';
import type { Temporal } from './connection.js';

const { IndexedValueType } = proto.temporal.api.enums.v1;
const types = {
  keyword: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
  datetime: IndexedValueType.INDEXED_VALUE_TYPE_DATETIME,
} satisfies Record<string, temporal.api.enums.v1.IndexedValueType>;

/** Registers the attributes that jobs are found by. Temporal warns in its log of those that are there already, so they are left out. */
export async function registerSearchAttributes(engine: Temporal): Promise<void> {
  const { namespace } = engine;
  const { customAttributes } = await engine.call((_service, operator) => operator.listSearchAttributes({ namespace }));
  const missing = Object.entries(searchAttributeTypes).filter(([name]) => !(name in customAttributes));
  if (missing.length === 0) return;
  const searchAttributes = Object.fromEntries(missing.map(([name, type]) => [name, types[type]]));
  await engine.call((_service, operator) => operator.addSearchAttributes({ namespace, searchAttributes }));
}
