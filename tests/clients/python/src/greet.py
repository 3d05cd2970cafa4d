"""The program of the test's image."""
import sys


def greeting(names):
    return " ".join(["hello", *names])


def main():
    print(greeting(sys.argv[1:]))


if __name__ == "__main__":
    main()
