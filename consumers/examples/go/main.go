// Prints the relay's events: go run .
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

func main() {
	queue := cmp.Or(os.Getenv("QUEUE"), "crm-script")
	connection := must(amqp.Dial(cmp.Or(os.Getenv("BROKER_URL"), "amqp://guest:guest@127.0.0.1:5672/")))
	channel := must(connection.Channel())
	check(channel.Qos(100, 0, false))
	must(channel.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}))
	for _, pattern := range strings.Split(cmp.Or(os.Getenv("PATTERNS"), "*.message.#,*.conversation.closed"), ",") {
		check(channel.QueueBind(queue, pattern, cmp.Or(os.Getenv("EXCHANGE"), "webhooks"), false, nil))
	}
	for message := range must(channel.Consume(queue, "", false, false, false, false, nil)) {
		var event struct {
			ID   string
			Data struct{ Message struct{ Text string } }
		}
		check(json.Unmarshal(message.Body, &event))
		fmt.Println(message.RoutingKey, event.ID, event.Data.Message.Text)
		check(message.Ack(false)) // only now: if the program dies before, the event comes again
	}
	log.Fatal("the connection or the queue is gone") // the supervisor starts it again
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
