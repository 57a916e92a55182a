import { nativeLibrary } from 'mobilenet-native'
import type { InferenceSession } from 'onnxruntime-node'

const { platform } = nativeLibrary()

/** Whether there is a build of ONNX Runtime for this machine. Where there is one it must load. */
export const hasOnnxRuntime = platform !== 'darwin-x64' && !platform.endsWith('-musl')
if (!hasOnnxRuntime)
  console.warn(`no ONNX Runtime for ${platform}: tests that run exported models are skipped`)

/** A model that ONNX Runtime has read. It is loaded here, as a file of tests that imports it fails where it doesn't load. */
export async function session(
  path: string,
  options: InferenceSession.SessionOptions = {},
): Promise<InferenceSession> {
  const { InferenceSession } = await import('onnxruntime-node')
  return InferenceSession.create(path, options)
}
