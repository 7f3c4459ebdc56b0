// kafkajs writes numbered records until the file STOP exists, while the disk fills and is freed.
//
// usage: node kafkajs.js BOOTSTRAP TOPIC STOP OUT.json
'use strict'

const fs = require('fs')

const { Kafka, logLevel } = require('kafkajs')

const EVERY_MS = 50
const FINISH_MS = 60000
const PADDING = '.'.repeat(1000)

const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

async function main () {
  const [bootstrap, topic, stop, out] = process.argv.slice(2)
  const kafka = new Kafka({ clientId: 'full', brokers: [bootstrap], logLevel: logLevel.NOTHING })
  const producer = kafka.producer()
  await producer.connect()
  const stored = []
  const failed = []
  const sends = []
  const send = async number => {
    try {
      const [answer] = await producer.send({ topic, acks: -1, messages: [{ partition: 0, value: `${number} ${PADDING}` }] })
      stored.push([number, Date.now() / 1000, Number(answer.baseOffset)])
    } catch (error) {
      failed.push([number, Date.now() / 1000, `${error.name}: ${error.message}`])
    }
  }
  while (!fs.existsSync(stop)) {
    sends.push(send(sends.length))
    await pause(EVERY_MS)
  }
  await Promise.race([Promise.all(sends), pause(FINISH_MS)])
  const unknown = sends.length - stored.length - failed.length
  fs.writeFileSync(out, JSON.stringify({ sent: sends.length, unknown, stored, failed }))
  await producer.disconnect()
  process.exit(0)
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
