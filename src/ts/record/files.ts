/** What lies in a run's folder, besides the states after epochs and TensorBoard's event files. */
export const files = {
  /** Everything that decides the run. */
  config: 'config.json',
  /** Every event but `warning` and `evaluating`, a line each; when the run failed, a last line of type `error`. */
  log: 'log.jsonl',
  /** A row for each epoch. */
  results: 'results.csv',
  /** What the network answers on pictures that it did not learn from, after the last epoch. */
  evaluation: 'evaluation.json',
  /** The first pictures that it was trained on, as it got them. */
  samples: 'samples.png',
  /** A page about the run. */
  report: 'report.html',
  /** The newest state. */
  last: 'last.safetensors',
  /** The weights of the best epoch. */
  best: 'best.safetensors',
} as const
