import type { EvaluatingEvent, RunConfig, StepEvent, TrainEvent } from '../../../../index.js'
import { Curve } from './curve.js'
import { type Outlook, Pace } from './pace.js'

/** A run as far as it has come: what is to be seen of it. */
export class RunState {
  readonly config: RunConfig
  /** Loss and accuracy of the training, step by step; accuracy of the validation (test where there is none) by epoch. */
  readonly curves = { loss: new Curve(), accuracy: new Curve(), evaluated: new Curve() }
  /** The newest step. */
  step: StepEvent | undefined
  /** Set while pictures are evaluated. */
  evaluating: EvaluatingEvent | undefined
  /** Epoch and accuracy of the best validation (test where there is none). */
  best: { epoch: number; accuracy: number } | undefined
  /** Means over the steps of this epoch that were seen, because a single batch jumps about. */
  mean: { loss: number; accuracy: number; steps: number } = { loss: 0, accuracy: 0, steps: 0 }
  readonly #pace: Pace
  readonly #began: number

  /** @param at When its first event was heard, in seconds of any clock. */
  constructor(config: RunConfig, at: number) {
    this.config = config
    this.#pace = new Pace(config)
    this.#began = at
  }

  /** Takes in an event, heard of `at` seconds of the same clock. */
  hear(event: TrainEvent, at: number): void {
    if (event.type === 'step') this.#hearStep(event, at)
    else if (event.type === 'evaluating') {
      this.evaluating = event
      this.#pace.evaluating(event, at)
    } else if (event.type === 'epoch') {
      this.evaluating = undefined
      const metrics = event.validation ?? event.test
      if (metrics) this.curves.evaluated.add(metrics.accuracy)
      const { accuracy } = metrics ?? event.train
      if (!this.best || accuracy > this.best.accuracy) this.best = { epoch: event.epoch, accuracy }
    }
  }

  outlook(at: number): Outlook {
    return this.#pace.outlook(at)
  }

  /** How long it has gone on. */
  secondsGone(at: number): number {
    return at - this.#began
  }

  get imagesPerSecond(): number | undefined {
    return this.#pace.imagesPerSecond
  }

  /** What the best accuracy is of. */
  get bestSet(): string {
    const { validation, test } = this.config.pictures
    return validation > 0 ? 'validation' : test > 0 ? 'test' : 'training'
  }

  #hearStep(event: StepEvent, at: number): void {
    if (event.epoch !== this.step?.epoch) this.mean = { loss: 0, accuracy: 0, steps: 0 }
    this.step = event
    this.evaluating = undefined
    this.#pace.step(event, at)
    this.curves.loss.add(event.loss)
    this.curves.accuracy.add(event.accuracy)
    const steps = this.mean.steps + 1
    this.mean = {
      loss: this.mean.loss + (event.loss - this.mean.loss) / steps,
      accuracy: this.mean.accuracy + (event.accuracy - this.mean.accuracy) / steps,
      steps,
    }
  }
}
