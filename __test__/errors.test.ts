import { cpSync, existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  cli,
  data,
  filesBelow,
  filesOfRun,
  images,
  jsonLines,
  literally,
  runFiles,
  Scratch,
  small,
} from './cli.js'

const scratch = new Scratch()
const run = scratch.at('run')
const checkpoint = join(run, 'best.safetensors')
const out = scratch.at('out')

beforeAll(() => cli(['train', ...small, '--out', run, '--quiet']))
afterAll(() => scratch.remove())

/** A wrong call: what it must say, with which code and exit status, and that nothing comes out of it. */
async function fails(
  args: string[],
  expected: { status: 1 | 2; code: string; message: RegExp },
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const json = args[0] !== 'import'
  const { status, stdout, stderr } = await cli(json ? [...args, '--json'] : args, { env })
  expect({ status, stdout, errors: errorsIn(stderr, json) }).toEqual({
    status: expected.status,
    stdout: '',
    errors: [{ code: expected.code, message: expect.stringMatching(expected.message) }],
  })
  expect(filesBelow(out)).toEqual([])
}

/** The lines about errors; one who reads JSON also gets notes. */
function errorsIn(stderr: string, json: boolean): { code: string; message: string }[] {
  if (!json)
    return [...stderr.matchAll(/^error ([A-Z_]+) (.*)\n/g)].map(([, code = '', message = '']) => ({
      code,
      message,
    }))
  const errors = jsonLines(stderr).filter(({ type }) => type !== 'note')
  return errors.map(({ type, ...error }) => (type === 'error' ? error : { type }))
}

const train = (...args: string[]) => ['train', ...small, '--out', out, ...args]

describe('a wrong call of train', () => {
  it.each([
    ['an unknown option', ['--epoch', '3'], /^unknown option '--epoch' \(Did you mean --epochs\?\)$/],
    ['no number', ['--epochs', 'many'], /--epochs <n>.*'many' is invalid. It must be a number/],
    ['a learning rate of -1', ['--learning-rate', '-1'], /^learningRate must be a number above 0, not -1$/],
    ['half an epoch', ['--epochs', '0.5'], /^epochs must be a whole number from 0 to \d+, not 0.5$/],
    [
      'an optimizer that is not there',
      ['--optimizer', 'lion'],
      /^optimizer must be one of adam, adamw, sgd, rmsprop, rmsprop-tf, not lion$/,
    ],
    [
      'numbers of another optimizer',
      ['--optimizer', 'sgd', '--beta1', '0.8'],
      /^optimizer sgd has no option beta1; its own are momentum, nesterov$/,
    ],
    [
      'two limits',
      ['--clip-norm', '1', '--clip-value', '1'],
      /^gradients are limited by clipNorm or by clipValue/,
    ],
    ['an average of nothing', ['--ema', '1'], /^ema.decay must be from 0 to below 1, not 1$/],
    [
      'half an average',
      ['--no-ema-warmup'],
      /--no-ema-warmup is for an average of the weights: give --ema, too/,
    ],
    ['no list', ['--milestones', '3;4'], /'3;4' is invalid. It must be numbers with commas between/],
    [
      'a list with a gap',
      ['--milestones', '1,,2'],
      /'1,,2' is invalid. It must be numbers with commas between/,
    ],
    ['weights with a gap', ['--class-weights', '1, ,2'], /It must be numbers with commas between/],
    [
      'a warm-up as long as the run',
      ['--warmup-epochs', '1'],
      /^warmup.epochs must be below the run's 1 epochs, not 1$/,
    ],
    [
      'a schedule that is not there',
      ['--schedule', 'lin'],
      /^schedule must be one of constant, step, .*, not lin$/,
    ],
    [
      'numbers of another schedule',
      ['--schedule', 'cosine', '--step-size', '3'],
      /^schedule cosine has no option stepSize; it has minimumLearningRate$/,
    ],
    [
      'a preset that is not there',
      ['--preset', 'fast'],
      /^preset must be one of course, cifar, quick, not fast$/,
    ],
    ['a layout that is not there', ['--layout', 'wide'], /^layout must be .*unpadded.*, not wide$/],
    ['a width of 0', ['--width', '0'], /^width must be above 0 and at most 4, not 0$/],
    [
      'another precision',
      ['--precision', 'tf32'],
      /^precision must be float32 or bfloat16 on the CPU, not tf32/,
    ],
    [
      'a precision that is not there',
      ['--precision', 'float16'],
      /^precision must be one of float32, tf32, bfloat16, not float16$/,
    ],
    ['another device', ['--device', 'tpu'], /^device must be one of auto, cpu, cuda, cuda:N, not tpu$/],
    ['too many arguments', ['more'], /^too many arguments/],
  ])('%s', (_, args, message) => fails(train(...args), { status: 2, code: 'INVALID_OPTION', message }))

  it('a device that is not there', () =>
    fails(train('--device', 'cuda:99'), { status: 1, code: 'DEVICE_UNAVAILABLE', message: /cuda/ }))

  it('a precision that the kernels of this processor do not have', () =>
    fails(
      train('--precision', 'bfloat16'),
      { status: 1, code: 'DEVICE_UNAVAILABLE', message: /bfloat16 .* AVX512_BF16/ },
      { MOBILENET_NATIVE_SIMD: 'avx2' },
    ))

  it('says for people what it says for programs', async () => {
    const { status, stderr } = await cli(train('--learning-rate', '-1'))
    expect(status).toBe(2)
    expect(stderr).toBe('error INVALID_OPTION learningRate must be a number above 0, not -1\n')
  })
})

describe('a checkpoint', () => {
  it('that is missing', async () => {
    const path = scratch.at('none.safetensors')
    const expected = {
      status: 1,
      code: 'IO',
      message: /cannot read the checkpoint .*none\.safetensors/,
    } as const
    await fails(train('--init', path), expected)
    await fails(['evaluate', path, '--data', data], expected)
    await fails(['predict', path, join(images, 'cat-0.png')], expected)
    await fails(['summary', path], expected)
  })

  it('of another width', async () => {
    const message = /best\.safetensors holds a network with width 0\.25, not 0\.5$/
    const args = ['--init', checkpoint, '--width', '0.5', '--data', data, '--out', out]
    await fails(['train', ...args], { status: 1, code: 'CHECKPOINT_MISMATCH', message })
  })

  it.each([
    [
      'another variant',
      ['--variant', 'v2'],
      /holds V1 with timm's names, which is not the variant asked for$/,
    ],
    ['another layout', ['--layout', 'unpadded'], /its layout is cifar or imagenet, not the one asked for$/],
    ['another width', ['--width', '0.5'], /conv_stem\.weight has shape .* at width 0\.5; width 0\.25 fits$/],
    ['other classes', ['--classes', '7'], /classifier\.weight has shape \[10, 256\]: .* 10 classes, not 7$/],
  ])('whose weights are imported as %s', (_, args, message) =>
    fails(['import', checkpoint, ...args, '--out', join(out, 'x.safetensors')], {
      status: 1,
      code: 'CHECKPOINT_MISMATCH',
      message,
    }),
  )

  it('that is imported, but is cut off or no weights', async () => {
    const [short, text] = [scratch.at('cut.safetensors'), scratch.at('text.pth')]
    cpSync(checkpoint, short)
    truncateSync(short, 100_000)
    writeFileSync(text, 'no weights at all')
    for (const path of [short, text]) {
      const message = new RegExp(`^${literally(path)} can't be read as a PyTorch state dict`)
      const expected = { status: 1, code: 'CHECKPOINT_CORRUPT', message } as const
      await fails(['import', path, '--out', join(out, 'x.safetensors')], expected)
    }
  })

  it('that is cut off, or is something else', async () => {
    const [short, text] = [scratch.at('short.safetensors'), scratch.at('text.safetensors')]
    cpSync(checkpoint, short)
    truncateSync(short, 100_000)
    writeFileSync(text, 'no weights at all')
    for (const path of [short, text]) {
      const message = new RegExp(`^${literally(path)} is not a whole checkpoint: `)
      await fails(['summary', path], { status: 1, code: 'CHECKPOINT_CORRUPT', message })
    }
  })
})

describe('a run to resume', () => {
  it.each([
    ['with a preset', ['--preset', 'quick'], /--preset can't be given with it/],
    [
      'with another network',
      ['--width', '0.25', '--layout', 'cifar'],
      /--layout, --width can't be given with it/,
    ],
    ['with other weights', ['--init', 'x.safetensors'], /--init can't be given with it/],
    ['with another optimizer', ['--optimizer', 'sgd'], /can't change from adam to sgd when a run is resumed/],
    [
      'with other batches',
      ['--epochs', '2', '--batch-size', '8'],
      /^batchSize can't change when a run is resumed/,
    ],
    ['that is done', [], /^the one epoch of this run is done/],
  ])('%s', async (_, args, message) => {
    const before = readFileSync(join(run, 'last.safetensors'))
    const call = ['train', '--resume', run, '--data', data, '--out', out, ...args]
    await fails(call, { status: 2, code: 'INVALID_OPTION', message })
    expect(readFileSync(join(run, 'last.safetensors')).equals(before)).toBe(true)
  })

  it('that is none', () =>
    fails(['train', '--resume', scratch.at('nothing'), '--data', data], {
      status: 1,
      code: 'IO',
      message: /nothing/,
    }))

  it('whose best weights are given instead of its state', () =>
    fails(['train', '--resume', checkpoint, '--data', data], {
      status: 2,
      code: 'INVALID_OPTION',
      message: /last\.safetensors/,
    }))
})

describe('a data set', () => {
  it('with a truncated file', async () => {
    const damaged = scratch.at('damaged')
    cpSync(data, damaged, { recursive: true })
    truncateSync(join(damaged, 'data_batch_1.bin'), 10_000)
    const message =
      /data_batch_1\.bin has 10000 bytes, which is 3 records of 3073 bytes and 781 bytes more; expected/
    const expected = { status: 1, code: 'DATASET_CORRUPT', message } as const
    await fails(train('--data', damaged), expected)
    await fails(['evaluate', checkpoint, '--data', damaged], expected)
  })

  it('that is not there', () =>
    fails(train('--data', scratch.at('no-data')), {
      status: 1,
      code: 'DATASET_NOT_FOUND',
      message:
        /^there is no file or folder .*no-data; name with --data the folder or archive that holds it; without --data, CIFAR-10 is downloaded$/,
    }))

  it('of which a part is asked for that it has not', () =>
    fails(['evaluate', checkpoint, '--data', data, '--split', 'all'], {
      status: 2,
      code: 'INVALID_OPTION',
      message: /^split must be one of train, validation, test, not all$/,
    }))
})

describe('a picture', () => {
  it('that is a text file is named, and the others are answered', async () => {
    const text = scratch.at('letter.png')
    writeFileSync(text, 'This is no picture.\n')
    const args = ['predict', checkpoint, join(images, 'cat-0.png'), text, join(images, 'dog-12.png')]
    const { status, stdout, stderr } = await cli([...args, '--json'])
    expect(status).toBe(1)
    expect(jsonLines(stdout).map(({ file }) => file)).toEqual([
      join(images, 'cat-0.png'),
      join(images, 'dog-12.png'),
    ])
    expect(jsonLines(stderr)).toEqual([
      { type: 'error', code: 'IMAGE_UNREADABLE', message: expect.stringContaining('letter.png') },
      { type: 'error', code: 'IMAGE_UNREADABLE', message: '1 of 3 pictures could not be read' },
    ])
  })

  it('that is not there', () =>
    fails(['predict', checkpoint, 'none.png'], { status: 1, code: 'IMAGE_UNREADABLE', message: /none\.png/ }))

  it('of which no class is asked for', () =>
    fails(['predict', checkpoint, join(images, 'cat-0.png'), '--top', '0'], {
      status: 2,
      code: 'INVALID_OPTION',
      message: /^option '--top <n>' argument '0' is invalid. It must be a whole number from 1\.$/,
    }))
})

describe('a folder', () => {
  // Root may write where permissions forbid it to others, but not into a file, nor where the kernel shows its own.
  const [file, kernel] = [scratch.at('a-file'), '/proc/no-such-folder']
  beforeAll(() => writeFileSync(file, ''))

  it.each([join(file, 'run'), ...(existsSync('/proc/self') ? [kernel] : [])])(
    'that cannot be written to: %s',
    async (path) => {
      const expected = { status: 1, code: 'IO', message: new RegExp(`cannot .*${literally(path)}`) } as const
      await fails(['train', ...small, '--out', path], expected)
      const network = ['--variant', 'v1', '--layout', 'cifar', '--width', '0.25']
      await fails(['import', checkpoint, ...network, '--out', join(path, 'x.safetensors')], expected)
      expect(readFileSync(file, 'utf8')).toBe('')
      expect(existsSync(path)).toBe(false)
    },
  )

  it('that holds a run already', async () => {
    const before = readFileSync(join(run, 'last.safetensors'))
    await fails(['train', ...small, '--out', run], {
      status: 2,
      code: 'INVALID_OPTION',
      message: /holds a run already/,
    })
    expect(readFileSync(join(run, 'last.safetensors')).equals(before)).toBe(true)
    expect(filesOfRun(run)).toEqual(runFiles())
  })
})

describe('a download', () => {
  it('of another data set', () =>
    fails(['download', 'imagenet'], {
      status: 2,
      code: 'INVALID_OPTION',
      message: /Allowed choices are cifar10/,
    }))

  it('into a folder with other files of these names', async () => {
    const folder = scratch.at('taken', 'cifar-10-batches-bin')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'test_batch.bin'), 'short')
    await fails(['download', '--data', scratch.at('taken')], {
      status: 1,
      code: 'DATASET_CORRUPT',
      message: /test_batch/,
    })
    expect(readFileSync(join(folder, 'test_batch.bin'), 'utf8')).toBe('short')
    expect(filesBelow(scratch.at('taken'))).toEqual(['test_batch.bin'])
  })
})
