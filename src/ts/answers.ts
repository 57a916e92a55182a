import { cancellable } from './abort.js'
import { type ErrorCode, MobileNetError, native } from './errors.js'
import { follow } from './follow.js'
import type { Model as NativeModel } from './native/binding.js'
import { withoutNulls } from './options/keys.js'
import {
  checkLogits,
  checkReading,
  findPictures,
  isSeveral,
  type LogitsOptions,
  type NativePicture,
  type Picture,
  picturesOf,
  toNativePictures,
} from './pictures.js'
import type { Logits, Prediction } from './prediction.js'

/** Pooled features: what the classifier reads. */
export type Features = Float32Array

/** What the network says of one of several pictures, or why it couldn't be read. `P` is what pictures were given as. */
export type PictureAnswer<P extends Picture = Picture> =
  | { picture: P; predictions: Prediction[]; logits: Logits; error: null }
  | { picture: P; predictions: null; logits: null; error: MobileNetError }

/** The features of one of several pictures, or why it couldn't be read. `P` is what pictures were given as. */
export type PictureFeatures<P extends Picture = Picture> =
  | { picture: P; features: Features; error: null }
  | { picture: P; features: null; error: MobileNetError }

type Question = 'logits' | 'features'

type Answer = Float32Array | MobileNetError

/**
 * Pictures that go to the native side together. At first a few, so that an answer comes soon also where pictures are large;
 * then twice as many each time, so that a network's batches are full.
 */
const batchSize = { first: 8, most: 64 }

/** The answers for one picture, or for several; rejects when one can't be read. */
export async function ask(
  model: NativeModel,
  pictures: Picture | readonly Picture[],
  question: Question,
  options: LogitsOptions,
): Promise<Float32Array | Float32Array[]> {
  const several = isSeveral(pictures)
  const list = several ? pictures : [pictures]
  const answers = (await askAll(model, list, question, options)).map(([, answer]) => {
    if (answer instanceof MobileNetError) throw answer
    return answer
  })
  return several ? answers : (answers[0] as Float32Array)
}

/**
 * Each picture with its answer, in order. While some are looked at, the next are being decoded; that is cancelled when
 * whoever iterates leaves.
 */
export async function* askEach(
  model: NativeModel,
  pictures: string | URL | Iterable<Picture>,
  question: Question,
  options: LogitsOptions,
): AsyncGenerator<[Picture, Answer], void, undefined> {
  checkAsked(question, options)
  const named = typeof pictures === 'string' || pictures instanceof URL
  const all = named ? await findPictures(pictures) : picturesOf(pictures)
  const { controller, leave } = follow(options.signal)
  const { signal } = controller
  let ahead: Promise<[Picture, Answer][]> | undefined
  try {
    for (const batch of batches(all)) {
      const next = askAll(model, batch, question, { ...options, signal })
      // Heard when its turn comes; until then it must not count as unheard.
      next.catch(() => {})
      if (ahead) yield* await ahead
      ahead = next
    }
    if (ahead) yield* await ahead
  } finally {
    leave()
    controller.abort()
  }
}

/** Rejects options that don't exist. */
function checkAsked(question: Question, options: LogitsOptions): void {
  if (question === 'logits') checkLogits(options)
  else checkReading(options)
}

function* batches(pictures: Iterable<Picture>): Generator<Picture[]> {
  let batch: Picture[] = []
  let size = batchSize.first
  for (const picture of pictures) {
    batch.push(picture)
    if (batch.length === size) {
      yield batch
      batch = []
      size = Math.min(2 * size, batchSize.most)
    }
  }
  if (batch.length > 0) yield batch
}

async function askAll(
  model: NativeModel,
  pictures: readonly Picture[],
  question: Question,
  options: LogitsOptions,
): Promise<[Picture, Answer][]> {
  const { signal, ...reading } = options
  checkAsked(question, options)
  const made = toNativePictures(pictures)
  const list = Array.isArray(made) ? made : await made
  const read = list.filter((picture) => !(picture instanceof MobileNetError)) as NativePicture[]
  const { values, width, failures } = await cancellable(
    (cancel) =>
      native(() =>
        model.predict(read, question, withoutNulls({ ...reading, tta: reading.tta ?? null }), cancel),
      ),
    signal,
  )
  const unread = new Map(
    failures.map(({ index, code, message }) => [index, new MobileNetError(code as ErrorCode, message)]),
  )
  // The native side counts only those that it was given.
  let given = 0
  return pictures.map((picture, i) => {
    const made = list[i]
    if (made instanceof MobileNetError) return [picture, made]
    const n = given++
    return [picture, unread.get(n) ?? values.slice(n * width, (n + 1) * width)]
  })
}
