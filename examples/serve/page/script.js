const form = document.querySelector('#form')
const input = document.querySelector('#picture')
const answers = document.querySelector('#answers')
const template = document.querySelector('#answer')

input.addEventListener('change', () => {
  askAll(input.files)
  // So that the same file can be chosen again.
  form.reset()
})
for (const type of ['dragenter', 'dragover']) form.addEventListener(type, () => form.classList.add('over'))
for (const type of ['dragleave', 'drop']) form.addEventListener(type, () => form.classList.remove('over'))
document.addEventListener('paste', (event) => askAll(event.clipboardData.files))

/** Each in a request of its own, all at once: the server answers them together. */
function askAll(files) {
  for (const file of files) ask(file)
}

async function ask(file) {
  const item = template.content.cloneNode(true).querySelector('li')
  const [image, name, status] = ['img', '.name', '.status'].map((selector) => item.querySelector(selector))
  name.textContent = file.name
  image.src = URL.createObjectURL(file)
  // What the browser can't show (TIFF), the server may still read.
  image.addEventListener('error', () => image.remove())
  answers.prepend(item)
  try {
    const body = new FormData()
    body.append('picture', file)
    const response = await fetch(form.action, { method: 'POST', body })
    const { predictions, error } = await response.json()
    if (error) throw new Error(error.message)
    status.remove()
    for (const { label, probability } of predictions)
      item.querySelector('dl').append(...row(label, probability))
  } catch (error) {
    status.textContent = error.message
    status.classList.add('wrong')
  }
}

function row(label, probability) {
  const [term, value, bar] = ['dt', 'dd', 'meter'].map((name) => document.createElement(name))
  term.textContent = label
  value.textContent = `${(100 * probability).toFixed(1)} %`
  bar.value = probability
  bar.setAttribute('aria-hidden', 'true')
  return [term, value, bar]
}
