import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['__test__/**/*.test.ts'],
    globalSetup: '__test__/setup.ts',
    setupFiles: '__test__/matchers.ts',
    // The tests use the built package, as its users do; it must not be compiled a second time.
    server: { deps: { external: [/\/dist\//] } },
    // A run trains on every core: files side by side would only wait for each other.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    typecheck: { include: ['__test__/**/*.test-d.ts'], tsconfig: 'tsconfig.test.json' },
  },
})
