// Which room may look into which: imports point one way (see ARCHITECTURE.md).
const allowed = {
  base: [],
  pki: ['base'],
  store: ['base', 'pki'],
  acme: ['base', 'pki'],
  ocsp: ['base', 'pki', 'store'],
  ca: ['base', 'pki'],
  certificates: ['base', 'pki'],
  domains: ['base', 'pki', 'acme', 'ocsp', 'store', 'certificates'],
  tls: ['base', 'pki', 'certificates'],
  // Settings are made of the engine's own settings: types only.
  config: ['base', 'domains/settings', 'ca/settings', 'pki/keyspec'],
  http: ['base', 'pki', 'certificates', 'tls', 'config'],
  status: ['base', 'pki', 'store', 'domains', 'certificates', 'config'],
  server: [
    'base',
    'pki',
    'acme',
    'ocsp',
    'store',
    'ca',
    'certificates',
    'domains',
    'tls',
    'config',
    'http',
    'status',
  ],
  cli: ['base', 'ca', 'certificates', 'domains', 'config', 'status', 'server'],
};

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(allowed).map(([room, may]) => ({
      name: `${room}-looks-only-where-it-may`,
      severity: 'error',
      from: { path: `^src/${room}/`, pathNot: '\\.test\\.ts$|\\.testing\\.ts$' },
      to: {
        path: '^src/',
        pathNot: [room, ...may].map((r) => (r.includes('/') ? `^src/${r}\\.ts$` : `^src/${r}/`)),
      },
    })),
    {
      name: 'nothing-outside-package-json',
      severity: 'error',
      from: { path: '^src' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'no-development-dependency-in-the-product',
      severity: 'error',
      from: { path: '^src', pathNot: '\\.test\\.ts$|\\.testing\\.ts$' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'the-product-never-loads-tests',
      severity: 'error',
      from: { path: '^src', pathNot: '\\.test\\.ts$|\\.testing\\.ts$' },
      to: { path: '\\.test\\.ts$|\\.testing\\.ts$|^test/' },
    },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
