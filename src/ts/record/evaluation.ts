import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cannotRead } from '../errors.js'
import type { Metrics } from '../native/binding.js'
import { files } from './files.js'

/** What `evaluation.json` holds: what the network answers on pictures that it did not learn from, after an epoch. */
export interface Evaluation {
  /** After which epoch, from 1. */
  epoch: number
  /** Which pictures: the test pictures, or where there are none those for validation. */
  split: 'test' | 'validation'
  /** Names of the classes, in the order of the logits. */
  classes: string[]
  metrics: Metrics
  /** Counts of pictures: a row for each right class, and in it a column for each answer; null with more than 2,000 classes. */
  confusion: number[][] | null
  /** How well each class is known. */
  perClass: ClassFigures[]
  /** The wrong answers for which the right class was least probable. */
  mostWrong: WrongPicture[]
}

/** How well one class is known. */
export interface ClassFigures {
  label: string
  /** Pictures of this class. */
  count: number
  /** The share that is right of the pictures said to be of this class, from 0 to 1; null when none was. */
  precision: number | null
  /** The share that was found of the pictures of this class, from 0 to 1; null when there are none. */
  recall: number | null
}

/** A picture that was taken for another. */
export interface WrongPicture {
  /** In the data set's file order, from 0. */
  index: number
  /** The right class. */
  label: string
  /** How probable the network found it, from 0 to 1. */
  probability: number
  /** The classes that it found most probable, best first. */
  answers: { label: string; probability: number }[]
  /** A PNG file in base64. */
  png: string
}

/** Reads the evaluation of the run in `folder`; null when no epoch is complete, or there was nothing to evaluate. */
export async function readEvaluation(folder: string): Promise<Evaluation | null> {
  const path = join(folder, files.evaluation)
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Evaluation
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw cannotRead(path, error)
  }
}
