// kafkajs as a writer. (As a reader it needs consumer groups.)
//
// usage: node write.js BOOTSTRAP PLAN.json
//
// It brings gzip; the other codecs are plugged in, as its users do.
'use strict'

const fs = require('fs')
const path = require('path')

// The packages are installed outside the checkout, where NODE_PATH points.
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
const snappy = require('snappyjs')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32.js')
const { ZstdCodec } = require('zstd-codec')

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])

// The framing that Java's snappy library invented and that Kafka's clients agree on.
function xerial (data) {
  const blocks = [XERIAL]
  for (let at = 0; at < data.length; at += 32768) {
    const block = Buffer.from(snappy.compress(data.subarray(at, at + 32768)))
    const length = Buffer.alloc(4)
    length.writeInt32BE(block.length)
    blocks.push(length, block)
  }
  return Buffer.concat(blocks)
}

// lz4js makes one block of up to 4 MiB, which depends on no other, but leaves the flag that says so unset; Java wants it.
function lz4Frame (data) {
  const frame = Buffer.from(lz4.compress(data))
  frame[4] |= 0x20
  frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff
  return frame
}

const codec = compress => () => ({ compress: async encoder => compress(encoder.buffer), decompress: async data => data })

function plugIn (zstd) {
  CompressionCodecs[CompressionTypes.Snappy] = codec(xerial)
  CompressionCodecs[CompressionTypes.LZ4] = codec(lz4Frame)
  CompressionCodecs[CompressionTypes.ZSTD] = codec(data => Buffer.from(zstd.compress(data)))
}

const unb64 = text => (text === null ? null : Buffer.from(text, 'base64'))

// kafkajs takes an object: values of one name stand together in a list.
function headers (pairs) {
  const object = {}
  for (const [name, value] of pairs) (object[name] ||= []).push(unb64(value))
  return object
}

async function main () {
  const [bootstrap, planPath] = process.argv.slice(2)
  const plan = JSON.parse(fs.readFileSync(path.resolve(planPath)))
  plugIn(await new Promise(resolve => ZstdCodec.run(zstd => resolve(new zstd.Simple()))))
  const kafka = new Kafka({ clientId: 'matrix', brokers: [bootstrap], logLevel: logLevel.ERROR })
  const producer = kafka.producer({ allowAutoTopicCreation: true })
  await producer.connect()
  const types = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }
  for (const topic of plan.topics.filter(topic => topic.writer === 'kafkajs')) {
    const messages = topic.records.map(row => ({
      key: unb64(row.key),
      value: unb64(row.value),
      partition: 0,
      timestamp: String(row.timestamp),
      headers: headers(row.headers)
    }))
    // Several calls make several batches.
    for (let at = 0; at < messages.length; at += 50) {
      const some = messages.slice(at, at + 50)
      await producer.send({ topic: topic.name, compression: types[topic.codec], messages: some, acks: -1 })
    }
  }
  await producer.disconnect()
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
