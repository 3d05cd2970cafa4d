// Greet is the program of the test's image.
package main

import (
	"fmt"
	"os"
	"strings"
)

func greeting(names []string) string {
	if len(names) == 0 {
		return "hello"
	}
	return "hello " + strings.Join(names, " and ")
}

func main() {
	fmt.Println(greeting(os.Args[1:]))
}
