import type { MobileNet, Prediction } from 'mobilenet-native'

interface Waiting {
  picture: Uint8Array
  answer: (predictions: Prediction[]) => void
  fail: (error: unknown) => void
}

/** Nobody should wait so long as the queue is; the server answers 503. */
export class Overloaded extends Error {}

/**
 * Answers requests that come at the same time in one call: a batch costs less than its pictures one by one, and uses all
 * cores. Nobody waits for a batch to fill up: whoever comes while one is computed is in the next.
 */
export class Batcher {
  readonly #model: MobileNet
  readonly #options: { maxPixels: number; batchSize: number; queueSize: number }
  readonly #waiting: Waiting[] = []
  #running = false
  /** How many batches were computed. */
  batches = 0

  constructor(model: MobileNet, options: { maxPixels: number; batchSize: number; queueSize: number }) {
    this.#model = model
    this.#options = options
  }

  /** What is in a picture. One whose `signal` aborts before its batch begins costs nothing. */
  predict(picture: Uint8Array, signal: AbortSignal): Promise<Prediction[]> {
    signal.throwIfAborted()
    if (this.#waiting.length >= this.#options.queueSize) {
      throw new Overloaded(`${this.#waiting.length} pictures are waiting already`)
    }
    return new Promise((answer, fail) => {
      const waiting = { picture, answer, fail }
      this.#waiting.push(waiting)
      const leave = () => {
        const place = this.#waiting.indexOf(waiting)
        if (place >= 0) this.#waiting.splice(place, 1)
        fail(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    // What else arrives in this turn of the event loop belongs to the first batch.
    await new Promise(setImmediate)
    while (this.#waiting.length > 0) {
      this.batches++
      await this.#answer(this.#waiting.splice(0, this.#options.batchSize))
    }
    this.#running = false
  }

  async #answer(batch: Waiting[]): Promise<void> {
    const pictures = batch.map(({ picture }) => picture)
    let place = 0
    try {
      // Unlike predict, it answers the others when one can't be read.
      for await (const { predictions, error } of this.#model.predictEach(pictures, {
        top: 3,
        maxPixels: this.#options.maxPixels,
      })) {
        const { answer, fail } = batch[place++] as Waiting
        if (error) fail(error)
        else answer(predictions)
      }
    } catch (error) {
      for (const { fail } of batch.slice(place)) fail(error)
    }
  }
}
