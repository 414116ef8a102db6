package datagen

import (
	"embed"
	"fmt"
	"strings"
)

// The schemas of the quickstarts are written by quickstarts/make.go.
//
//go:embed quickstarts/*.avsc
var quickstartFiles embed.FS

// A Quickstart is a schema that comes with Datagen.
type Quickstart struct {
	Name     string // as Confluent Cloud writes it, CLICKSTREAM
	KeyField string // the field that is the record's key unless schema.keyfield names another
}

// resources are the files in Datagen's jar whose names are not those of their quickstarts in lower case; schema.filename may name them.
var resources = map[string]string{
	"CLICKSTREAM_CODES": "clickstream_codes_schema", "CLICKSTREAM": "clickstream_schema", "CLICKSTREAM_USERS": "clickstream_users_schema",
	"ORDERS": "orders_schema", "RATINGS": "ratings_schema", "USERS": "users_schema", "USERS_": "users_array_map_schema",
	"PAGEVIEWS": "pageviews_schema", "STOCK_TRADES": "stock_trades_schema", "PURCHASES": "purchase",
}

// resource returns the text of the schema that has the name in Datagen's jar: clickstream_schema.avro.
func resource(name string) ([]byte, bool) {
	for _, q := range Quickstarts() {
		file, ok := resources[q.Name]
		if !ok {
			file = strings.ToLower(q.Name)
		}
		if file+".avro" == name {
			return q.text(), true
		}
	}
	return nil, false
}

// Quickstarts lists all, in Datagen's order.
func Quickstarts() []Quickstart {
	return []Quickstart{
		{"CLICKSTREAM_CODES", "code"}, {"CLICKSTREAM", "ip"}, {"CLICKSTREAM_USERS", "user_id"}, {"ORDERS", "orderid"}, {"RATINGS", "rating_id"},
		{"USERS", "userid"}, {"USERS_", "userid"}, {"PAGEVIEWS", "viewtime"}, {"STOCK_TRADES", "symbol"}, {"INVENTORY", "id"}, {"PRODUCT", "id"},
		{"PURCHASES", "id"}, {"TRANSACTIONS", "transaction_id"}, {"STORES", "store_id"}, {"CREDIT_CARDS", "card_id"},
		{"CAMPAIGN_FINANCE", "candidate_id"}, {"FLEET_MGMT_DESCRIPTION", "vehicle_id"}, {"FLEET_MGMT_LOCATION", "vehicle_id"},
		{"FLEET_MGMT_SENSORS", "vehicle_id"}, {"PIZZA_ORDERS", "store_id"}, {"PIZZA_ORDERS_COMPLETED", "store_id"},
		{"PIZZA_ORDERS_CANCELLED", "store_id"}, {"INSURANCE_OFFERS", "offer_id"}, {"INSURANCE_CUSTOMERS", "customer_id"},
		{"INSURANCE_CUSTOMER_ACTIVITY", "activity_id"}, {"GAMING_GAMES", "id"}, {"GAMING_PLAYERS", "player_id"},
		{"GAMING_PLAYER_ACTIVITY", "player_id"}, {"PAYROLL_EMPLOYEE", "employee_id"}, {"PAYROLL_EMPLOYEE_LOCATION", "employee_id"},
		{"PAYROLL_BONUS", "employee_id"}, {"SYSLOG_LOGS", "host"}, {"DEVICE_INFORMATION", "device_ip"}, {"SIEM_LOGS", "hostname"}, {"SHOES", "id"},
		{"SHOE_CUSTOMERS", "id"}, {"SHOE_ORDERS", "order_id"}, {"SHOE_CLICKSTREAM", "product_id"},
	}
}

// LookupQuickstart returns the quickstart of a name in any case.
func LookupQuickstart(name string) (Quickstart, bool) {
	for _, q := range Quickstarts() {
		if strings.EqualFold(q.Name, name) {
			return q, true
		}
	}
	return Quickstart{}, false
}

// Schema returns the quickstart's schema.
func (q Quickstart) Schema() *Schema {
	s, err := ParseSchema(q.text())
	if err != nil {
		panic(fmt.Sprintf("datagen: quickstart %s: %s", q.Name, err))
	}
	return s
}

func (q Quickstart) text() []byte {
	text, err := quickstartFiles.ReadFile("quickstarts/" + strings.ToLower(q.Name) + ".avsc")
	if err != nil {
		panic(err) // it is part of the binary
	}
	return text
}
