import type { EvaluatingEvent, RunConfig, StepEvent } from '../../../../index.js'

/**
 * What an evaluation of a picture takes, as a share of training on it, until one has been timed. V1, V2, V3 large and V3
 * small take 0.28, 0.22, 0.23 and 0.22 (docs/performance.md); a validation and a test are a third of an epoch's pictures,
 * so a quarter is right within 1 % of an epoch.
 */
const usualShare = 0.25

/**
 * Seconds after which a time counts half, for what is left. The machine's speed changes while others use it, so old times
 * mislead; new ones alone would make the estimate jump.
 */
const halfLifeSeconds = 120

/** The same, for the speed that is shown. */
const speedHalfLifeSeconds = 5

/** Time for each of some things, where what was long ago counts less. */
class Cost {
  readonly #halfLifeSeconds: number
  #seconds = 0
  #things = 0

  constructor(halfLife: number) {
    this.#halfLifeSeconds = halfLife
  }

  add(things: number, seconds: number): void {
    const kept = 0.5 ** (seconds / this.#halfLifeSeconds)
    this.#seconds = this.#seconds * kept + seconds
    this.#things = this.#things * kept + things
  }

  /** Nothing when none has been timed. */
  get each(): number | undefined {
    return this.#things > 0 ? this.#seconds / this.#things : undefined
  }
}

/** The last event, as far as it says where the run is. */
interface Place {
  at: number
  epoch: number
  /** Pictures of this epoch that were trained on. */
  trained: number
  split?: EvaluatingEvent['split'] | undefined
  /** Pictures of this epoch that were evaluated. */
  evaluated: number
}

/** How much there is to do, in seconds of this machine. */
export interface Outlook {
  /** How much of this epoch is done, of its time; from 0 to 1. */
  epochShare: number
  /** How much of the run is done, of its time; from 0 to 1. */
  runShare: number
  /** Nothing until a step has been timed. */
  epochSecondsLeft: number | undefined
  secondsLeft: number | undefined
}

/**
 * How long a run will take: what training on a picture took, evaluating one, and what lies between two epochs (making
 * ready for the evaluation, reading the state), times what is left of each. The first step only begins the clock,
 * because it takes longer than those after it.
 */
export class Pace {
  readonly #epochs: number
  readonly #batchSize: number
  readonly #pictures: RunConfig['pictures']
  readonly #training = new Cost(halfLifeSeconds)
  readonly #evaluation = new Cost(halfLifeSeconds)
  readonly #between = new Cost(halfLifeSeconds)
  #speed = new Cost(speedHalfLifeSeconds)
  #place: Place | undefined
  /** The first batch of this epoch's evaluations, with which weights are made ready, too. */
  #firstBatch = { pictures: 0, seconds: 0 }

  constructor({ train, pictures }: RunConfig) {
    this.#epochs = train.epochs
    this.#batchSize = train.batchSize
    this.#pictures = pictures
  }

  /** A step was heard of, `at` seconds of any clock. */
  step({ epoch, step }: StepEvent, at: number): void {
    const trained = Math.min(step * this.#batchSize, this.#pictures.train)
    const last = this.#place
    if (last?.epoch === epoch) {
      this.#training.add(trained - last.trained, at - last.at)
      this.#speed.add(trained - last.trained, at - last.at)
    } else if (last) {
      this.#speed = new Cost(speedHalfLifeSeconds)
      const { pictures, seconds } = this.#firstBatch
      const ready = seconds - pictures * (this.#evaluation.each ?? seconds / Math.max(1, pictures))
      const training = trained * (this.#training.each ?? 0)
      this.#between.add(1, Math.max(0, ready) + Math.max(0, at - last.at - training))
      this.#firstBatch = { pictures: 0, seconds: 0 }
    }
    this.#place = { at, epoch, trained, evaluated: 0 }
  }

  /** A batch of an evaluation was heard of. */
  evaluating({ epoch, split, done }: EvaluatingEvent, at: number): void {
    const { train, validation } = this.#pictures
    const evaluated = split === 'test' ? validation + done : done
    const last = this.#place
    if (last?.epoch === epoch && last.split === undefined) {
      this.#speed = new Cost(speedHalfLifeSeconds)
      this.#firstBatch = { pictures: evaluated, seconds: at - last.at }
    } else if (last?.epoch === epoch) {
      this.#evaluation.add(evaluated - last.evaluated, at - last.at)
      this.#speed.add(evaluated - last.evaluated, at - last.at)
    }
    this.#place = { at, epoch, trained: train, split, evaluated }
  }

  /** What is left, `at` seconds of the same clock. */
  outlook(at: number): Outlook {
    const { train, validation, test } = this.#pictures
    const place = this.#place ?? { at, epoch: 1, trained: 0, evaluated: 0 }
    const picture = this.#training.each
    const each = picture ?? 1
    const evaluation = this.#evaluation.each ?? each * usualShare
    const whole = train * each + (validation + test) * evaluation
    const between = this.#between.each ?? 0
    // What has passed since the event is done, too, but for that nobody knows more than that it is under way.
    const waited = picture === undefined ? 0 : at - place.at
    const left = (train - place.trained) * each + (validation + test - place.evaluated) * evaluation
    const epochLeft = Math.max(0, left - waited)
    const after = (this.#epochs - place.epoch) * (whole + between)
    const all = this.#epochs * whole + (this.#epochs - 1) * between
    return {
      epochShare: whole > 0 ? 1 - epochLeft / whole : 0,
      runShare: all > 0 ? Math.max(0, 1 - (epochLeft + after) / all) : 0,
      epochSecondsLeft: picture === undefined ? undefined : epochLeft,
      secondsLeft: picture === undefined ? undefined : epochLeft + after,
    }
  }

  /** Pictures a second of what the run is at: training or evaluating. */
  get imagesPerSecond(): number | undefined {
    const { each } = this.#speed
    return each === undefined ? undefined : 1 / each
  }
}
