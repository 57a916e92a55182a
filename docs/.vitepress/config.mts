import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type MarkdownOptions } from 'vitepress'

const docs = join(dirname(fileURLToPath(import.meta.url)), '..')
const repository = join(docs, '..')
/** Where the sources can be read, as OWNER/NAME; links to them are plain text where that isn't known. */
const home = process.env.GITHUB_REPOSITORY && `https://github.com/${process.env.GITHUB_REPOSITORY}`
/** What docs/comparison.html is called in the site, where comparison.md is a page, too. */
const plots = 'comparison-plots.html'
const apiSidebar = join(docs, 'api', 'typedoc-sidebar.json')

/**
 * Links that leave docs/ are to the sources, and lead to where they can be read; one that leads to nothing fails the build.
 * VitePress checks the others itself.
 */
const sourceLinks: NonNullable<MarkdownOptions['config']> = (md) => {
  md.core.ruler.push('source-links', (state) => {
    for (const { children } of state.tokens) {
      for (const [i, token] of (children ?? []).entries()) {
        const href = token.type === 'link_open' ? token.attrGet('href') : null
        if (!href || /^[a-z]+:|^[#/]/.test(href)) continue
        const target = resolve(dirname(join(docs, state.env.relativePath)), href.replace(/#.*/, ''))
        const source = relative(repository, target)
        if (source === join('docs', 'comparison.html')) {
          // Beside the page of the same name.
          token.attrSet('href', plots)
          token.attrSet('target', '_self')
        } else if (!source.startsWith('docs')) {
          if (!existsSync(target)) throw new Error(`${state.env.relativePath}: there is no ${href}`)
          if (home) token.attrSet('href', `${home}/blob/main/${source}`)
          else
            asText(
              token,
              children?.slice(i).find(({ type }) => type === 'link_close'),
            )
        }
      }
    }
  })
}

function asText(...tokens: ({ tag: string; attrs: unknown } | undefined)[]): void {
  for (const token of tokens) if (token) Object.assign(token, { tag: 'span', attrs: null })
}

export default defineConfig({
  title: 'mobilenet-native',
  description: 'MobileNet for Node: train and run V1, V2 and V3 on your own processor',
  lang: 'en',
  srcExclude: ['node_modules/**'],
  // What a project's page of GitHub needs: it lies in a folder.
  base: process.env.DOCS_BASE ?? '/',
  cleanUrls: true,
  lastUpdated: false,
  markdown: { math: true, config: sourceLinks },
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      { text: 'Guide', link: '/guide/start' },
      { text: 'API', link: '/api/' },
      { text: 'Command line', link: '/cli' },
    ],
    sidebar: [
      {
        text: 'Guide',
        items: [
          { text: 'Get started', link: '/guide/start' },
          { text: 'Installation', link: '/guide/installation' },
          { text: 'Training', link: '/guide/training' },
          { text: 'TypeScript', link: '/guide/typescript' },
          { text: 'Weights', link: '/guide/weights' },
        ],
      },
      {
        text: 'Training',
        items: [
          { text: 'Recipes', link: '/recipes' },
          { text: 'Augmentation', link: '/augmentation' },
          { text: 'Runs on disk', link: '/runs' },
        ],
      },
      {
        text: 'Your own pictures',
        items: [
          { text: 'Predict', link: '/pictures' },
          { text: 'Folders as data sets', link: '/folders' },
          { text: 'Export', link: '/export' },
        ],
      },
      {
        text: 'Networks',
        items: [
          { text: 'From V1 to V2 to V3', link: '/models' },
          { text: 'Separable convolution', link: '/separable-convolution' },
          { text: 'Comparison', link: '/comparison' },
          { text: 'Accuracy', link: '/accuracy' },
          { text: 'Performance', link: '/performance' },
          { text: 'NVIDIA cards', link: '/cuda' },
          { text: 'How it works inside', link: '/internals' },
        ],
      },
      { text: 'Command line', link: '/cli' },
      { text: 'Lines of --json', link: '/json' },
      {
        text: 'API',
        link: '/api/',
        collapsed: true,
        items: existsSync(apiSidebar) ? JSON.parse(readFileSync(apiSidebar, 'utf8')) : [],
      },
    ],
    outline: 'deep',
    ...(home ? { socialLinks: [{ icon: 'github', link: home }] } : {}),
  },
  buildEnd({ outDir }) {
    copyFileSync(join(docs, 'comparison.html'), join(outDir, plots))
  },
})
