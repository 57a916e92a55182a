import { MobileNetError } from '../errors.js'
import { checkKeys, type Keys } from './keys.js'

/**
 * One step of augmentation. First comes `resizedcrop`, then the steps on a picture's bytes (`crop`, `flip`, `randaugment`,
 * `trivialaugment`, `colorjitter`, in any order), then `cutout`, then what mixes a batch (`mixup`, `cutmix`): of several of these each batch takes one, each as
 * likely.
 */
export type Augmentation =
  | {
      /** A random part of the picture at the network's resolution: torchvision's `RandomResizedCrop`. */
      type: 'resizedcrop'
      /** The least share of the picture's area, from 0.001 to 1; default 0.08. */
      area: number
      /** How many times wider than high the part is at most, or higher than wide; from 1; default 4/3. */
      ratio: number
    }
  | {
      /** A random place of the picture with black around it, as torchvision's `RandomCrop`. */
      type: 'crop'
      /** Black pixels at each side, from 1; default 4. */
      padding: number
    }
  | {
      /** Half of the pictures are mirrored. */
      type: 'flip'
    }
  | {
      /** Operations drawn from torchvision's 14, all equally strong: its `RandAugment`. */
      type: 'randaugment'
      /** One after the other, from 1 to 14; default 2. */
      operations: number
      /** From 0 to 30; default 9. */
      magnitude: number
    }
  | {
      /** One of the 14 operations, as strong as chance will have it: torchvision's `TrivialAugmentWide`. */
      type: 'trivialaugment'
    }
  | {
      /** Brightness, contrast, saturation and hue change, in a random order: torchvision's `ColorJitter`. */
      type: 'colorjitter'
      /** A factor is drawn from 1 minus this, 0 at least, to 1 plus this; default 0.4. */
      brightness: number
      /** The same; default 0.4. */
      contrast: number
      /** The same; default 0.4. */
      saturation: number
      /** How far hues turn at most, in whole turns, from 0 to 0.5; default 0.1. */
      hue: number
    }
  | {
      /** A square of the normalised picture becomes 0. */
      type: 'cutout'
      /** Its side in pixels, from 2; default 16. */
      size: number
    }
  | {
      /** Each picture is averaged with the one before it in the batch: torchvision's `MixUp`. */
      type: 'mixup'
      /** The share is drawn from Beta(alpha, alpha); above 0, default 1. */
      alpha: number
      /** Share of the batches, above 0 and at most 1; default 1. */
      probability: number
    }
  | {
      /** A box of each picture comes from the one before it in the batch: torchvision's `CutMix`. */
      type: 'cutmix'
      /** The area is drawn from Beta(alpha, alpha); above 0, default 1. */
      alpha: number
      /** Share of the batches, above 0 and at most 1; default 1. */
      probability: number
    }

/** A step as it is asked for: what is absent takes its default. */
export type AugmentationOptions = Absent<Augmentation>

/** All but `type` may be absent. */
type Absent<T> = T extends { type: string }
  ? Pick<T, 'type'> & { [K in Exclude<keyof T, 'type'>]?: T[K] | null }
  : never

const mixKeys = { type: true, alpha: true, probability: true } as const

const augmentationKeys: { [T in Augmentation['type']]: Keys<Extract<Augmentation, { type: T }>> } = {
  resizedcrop: { type: true, area: true, ratio: true },
  crop: { type: true, padding: true },
  flip: { type: true },
  randaugment: { type: true, operations: true, magnitude: true },
  trivialaugment: { type: true },
  colorjitter: { type: true, brightness: true, contrast: true, saturation: true, hue: true },
  cutout: { type: true, size: true },
  mixup: mixKeys,
  cutmix: mixKeys,
}

/** Rejects a step that does not exist, and options that it does not have. */
export function checkStep(step: { type: Augmentation['type'] }): void {
  if (typeof step !== 'object' || step === null || !Object.hasOwn(augmentationKeys, step.type)) {
    const names = Object.keys(augmentationKeys).join(', ')
    throw new MobileNetError(
      'INVALID_OPTION',
      `a step of augment is an object whose type is one of ${names}, not ${JSON.stringify(step)}`,
    )
  }
  checkKeys(step.type, step, augmentationKeys[step.type])
}
