// The entry for `import`: the same classes as the entry for `require`, so that both may be used in one program.
export type * from './index.js'
export {
  benchmark,
  Cifar10,
  compare,
  devices,
  MobileNet,
  MobileNetError,
  modelCost,
  nativeLibrary,
  presets,
  resolveRecipe,
  separableCost,
  version,
} from './index.js'
