// The entry for `import`: the same classes as the entry for `require`, so that both may be used in one program.
export * from './index.js'
