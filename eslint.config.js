import js from '@eslint/js';
import boundaries from 'eslint-plugin-boundaries';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** The folders of src, and those that each may import from besides itself. Nothing imports from api; tests may use everything. */
const mayImport = {
  job: [],
  disk: [],
  tokens: ['disk', 'job'],
  node: ['disk', 'job'],
  ansible: ['disk', 'job'],
  store: ['ansible', 'disk', 'job', 'node'],
  targets: ['ansible', 'disk', 'job', 'store'],
  activities: ['ansible', 'disk', 'job', 'node', 'store', 'targets'],
  workflows: ['job'],
  foreground: ['ansible', 'disk', 'job', 'node', 'store'],
  api: ['disk', 'foreground', 'job', 'store', 'targets', 'tokens'],
  service: ['ansible', 'disk', 'node', 'tokens'],
  commands: ['disk', 'job', 'service', 'tokens'],
};
const folders = Object.keys(mayImport);

/** Those that are given what they need as parameters, and so don't know the configuration. */
const withoutConfig = [
  ...['job', 'disk', 'tokens', 'node', 'ansible', 'store', 'targets', 'activities', 'workflows', 'foreground'],
];

const typeScript = ['**/*.ts'];
const pure = { group: ['node:*', '@temporalio/*'], message: 'src/job is pure: no Node, no Temporal.' };

export default defineConfig(
  { ignores: ['dist/', 'node_modules/', '.setup/', '.venv/', 'data/', 'coverage/'] },
  js.configs.recommended,
  {
    files: typeScript,
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true, allowNullish: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/prefer-optional-chain': 'off',
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: { string: true } }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'The environment is read in src/config.ts only.' },
      ],
    },
  },
  {
    // Those that only wire may hand the environment on.
    files: ['src/config.ts', 'src/api/server.ts', 'worker.ts', 'vitest.config.ts', 'test/**'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    // Answers of the API are JSON that the tests make claims about.
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  {
    files: ['src/job/**'],
    rules: { 'no-restricted-imports': ['error', { patterns: [pure] }] },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: {
      globals: Object.fromEntries(
        ['process', 'console', 'setTimeout', 'performance'].map((name) => [name, 'readonly']),
      ),
    },
  },
  {
    files: ['src/**/*.ts', 'worker.ts'],
    plugins: { boundaries },
    settings: {
      'import/resolver': { typescript: true },
      'boundaries/include': ['src/**/*.ts', 'worker.ts'],
      'boundaries/elements': folders.map((type) => ({ type, pattern: `src/${type}`, partialMatch: false })),
      'boundaries/files': [
        { category: 'config', pattern: 'src/config.ts' },
        { category: 'worker', pattern: 'worker.ts' },
        { category: 'server', pattern: 'src/api/server.ts' },
      ],
    },
    rules: {
      'boundaries/dependencies': [
        'error',
        {
          default: 'disallow',
          policies: [
            ...folders.map((type) => ({
              from: { element: { type } },
              allow: { to: { element: { types: { anyOf: [type, ...mayImport[type]] } } } },
            })),
            // A workflow knows its activities by their types alone.
            {
              from: { element: { type: 'workflows' } },
              allow: { to: { element: { type: 'activities' } }, dependency: { kind: 'type' } },
            },
            {
              from: { file: { categories: 'worker' } },
              allow: {
                to: {
                  element: { types: { anyOf: ['activities', 'ansible', 'disk', 'job', 'node', 'store', 'targets'] } },
                },
              },
            },
            {
              from: { file: { categories: 'server' } },
              allow: { to: { element: { types: { anyOf: ['ansible', 'node', 'targets'] } } } },
            },
            { allow: { to: { file: { categories: 'config' } } } },
            {
              from: { element: { types: { anyOf: withoutConfig } } },
              disallow: { to: { file: { categories: 'config' } } },
            },
            { allow: { to: { module: { origin: ['external', 'core'] } } } },
          ],
        },
      ],
    },
  },
);
