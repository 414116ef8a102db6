//go:build ignore

// Command make writes the schemas of the quickstarts, one a file, into its own directory: go run make.go.
//
// Names, types, ranges, iterations and the counts of options are those of kafka-connect-datagen, so that a generator of a seed makes the
// draws that Datagen makes. The names, addresses and shoes among the options are made up here.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"strings"
)

func main() {
	for name, text := range schemas() {
		if err := os.WriteFile(strings.ToLower(name)+".avsc", []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// quote is a value as JSON.
func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		log.Fatal(err)
	}
	return string(b)
}

// record is a schema with one field a line; each is a name and a type.
func record(name string, fields ...[2]string) string { return "{" + body(name, fields, "") + "\n}\n" }

func body(name string, fields [][2]string, properties string) string {
	namespace := ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		namespace, name = name[:i], name[i+1:]
	}
	var b strings.Builder
	b.WriteString(`"type": "record", "name": ` + quote(name))
	if namespace != "" {
		b.WriteString(`, "namespace": ` + quote(namespace))
	}
	b.WriteString(`, "fields": [`)
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n  {\"name\": " + quote(f[0]) + ", \"type\": " + f[1] + "}")
	}
	return b.String() + "\n]" + properties
}

// drawn is a record that is drawn as a whole from rows of values in the order of the fields.
func drawn(name string, fields [][2]string, rows [][]any) string {
	return "{" + body(name, fields, ", \"arg.properties\": {\"options\": ["+options(fields, rows)+"\n]}") + "\n}\n"
}

func options(fields [][2]string, rows [][]any) string {
	var b strings.Builder
	for i, row := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n  {")
		for k, v := range row {
			if k > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quote(fields[k][0]) + ": ")
			if text := quote(v); fields[k][1] == `"double"` && !strings.Contains(text, ".") {
				b.WriteString(text + ".0")
			} else {
				b.WriteString(text)
			}
		}
		b.WriteByte('}')
	}
	return b.String()
}

func f(name, typ string) [2]string          { return [2]string{name, typ} }
func plain(typ string) string               { return quote(typ) }
func of(typ, key, value string) string      { return typed(typ, "", key, value) }
func pick[T any](typ string, o ...T) string { return of(typ, "options", list(o)) }
func text(o ...string) string               { return pick("string", o...) }
func regex(r string) string                 { return of("string", "regex", quote(r)) }
func between(typ, min, max string) string {
	return of(typ, "range", `{"min": `+min+`, "max": `+max+"}")
}
func from(typ, start string) string {
	return of(typ, "iteration", `{"start": `+start+"}")
}
func count(typ, start, step string) string {
	return of(typ, "iteration", `{"start": `+start+`, "step": `+step+"}")
}

func typed(typ, logical, key, value string) string {
	if logical != "" {
		logical = `, "logicalType": ` + quote(logical)
	}
	return `{"type": ` + quote(typ) + logical + `, "arg.properties": {` + quote(key) + ": " + value + "}}"
}

func timestamps(start, step string) string {
	return typed("long", "timestamp-millis", "iteration", `{"start": `+start+`, "step": `+step+"}")
}

func dates() string { return typed("int", "date", "range", `{"min": 18000, "max": 19000}`) }

func list[T any](o []T) string {
	var parts []string
	for _, v := range o {
		parts = append(parts, quote(v))
	}
	if len(parts) > 8 {
		return "[\n    " + strings.Join(parts, ",\n    ") + "]"
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func schemas() map[string]string {
	all := map[string]string{}
	web(all)
	shop(all)
	fleet(all)
	people(all)
	logs(all)
	shoes(all)
	return all
}

func web(all map[string]string) {
	var ips []string
	for _, block := range []string{
		"111. 152.45.45 203.236.146 168.57.122 249.79.93 168.57.122 90.225.227 173.165.103 145.8.144 245.174.248 245.174.111",
		"222. 152.45.45 203.236.146 168.57.122 249.79.93 168.57.122 90.225.227 173.165.103 145.8.144 245.174.248 245.174.222",
		"122. 152.45.245 203.236.246 168.57.222 249.79.233 168.57.222 90.225.227 173.165.203 145.8.244 245.174.248 245.174.122",
		"233. 152.245.45 203.236.146 168.257.122 249.279.93 168.257.122 90.225.227 173.215.103 145.28.144 245.174.248 245.174.233",
	} {
		parts := strings.Fields(block)
		for _, p := range parts[1:] {
			ips = append(ips, parts[0]+p)
		}
	}
	all["CLICKSTREAM"] = record("clickstream.events",
		f("ip", text(ips...)),
		f("userid", between("int", "-1", "40")),
		f("remote_user", text("-")),
		f("time", count("string", "1", "10")),
		f("_time", count("long", "1", "10")),
		f("request", text("GET /index.html HTTP/1.1", "GET /site/user_status.html HTTP/1.1", "GET /site/login.html HTTP/1.1",
			"GET /site/user_status.html HTTP/1.1", "GET /images/track.png HTTP/1.1", "GET /images/logo-small.png HTTP/1.1")),
		f("status", text("200", "302", "404", "405", "406", "407")),
		f("bytes", text("278", "1289", "2048", "4096", "4006", "4196", "14096")),
		f("referrer", text("-")),
		f("agent", text("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
			"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/59.0.3071.115 Safari/537.36")))
	all["CLICKSTREAM_CODES"] = drawn("clickstream.codes", [][2]string{f("code", plain("int")), f("definition", plain("string"))}, [][]any{
		{200, "Successful"}, {302, "Redirect"}, {404, "Page not found"}, {405, "Method not allowed"}, {406, "Not acceptable"},
		{407, "Proxy authentication required"}})
	all["CLICKSTREAM_USERS"] = record("clickstream.users",
		f("user_id", from("int", "1")),
		f("username", text(handles(18)...)),
		f("registered_at", between("long", "1407645330000", "1502339792000")),
		f("first_name", text(firstNames[:12]...)),
		f("last_name", text(lastNames[:12]...)),
		f("city", text("Palo Alto", "San Francisco", "Raleigh", "London", "Frankfurt", "New York")),
		f("level", text("Gold", "Silver", "Platinum")))
	all["PAGEVIEWS"] = record("ksql.pageviews",
		f("viewtime", count("long", "1", "10")),
		f("userid", regex("User_[1-9]")),
		f("pageid", regex("Page_[1-9][0-9]")))
	user := [][2]string{
		f("registertime", between("long", "1487715775521", "1519273364600")),
		f("userid", regex("User_[1-9]")),
		f("regionid", regex("Region_[1-9]")),
		f("gender", text("MALE", "FEMALE", "OTHER"))}
	all["USERS"] = record("ksql.users", user...)
	all["USERS_"] = record("ksql.users", append(user,
		f("interests", `{"type": "array", "items": "string", "arg.properties": {"options": `+
			list([][]string{{"Hiking", "News"}, {"Hiking", "Chess"}, {"News", "Opera"}, {"News", "Sailing"}})+"}}"),
		f("contactinfo", `{"type": "map", "values": "string", "arg.properties": {"options": `+list([]map[string]string{
			{"phone": "6505550101", "city": "San Mateo", "state": "CA", "zipcode": "94403"},
			{"phone": "9495550102", "city": "Irvine", "state": "CA", "zipcode": "92617"},
			{"phone": "6505550103", "city": "Palo Alto", "state": "CA", "zipcode": "94301"},
			{"phone": "4085550104", "city": "San Jose", "state": "CA", "zipcode": "95112"},
			{"phone": "6505550105", "city": "San Carlos", "state": "CA", "zipcode": "94070"}})+"}}"))...)
	all["RATINGS"] = record("ksql.ratings",
		f("rating_id", from("long", "1")),
		f("user_id", between("int", "-1", "20")),
		f("stars", between("int", "1", "5")),
		f("route_id", between("int", "1", "9999")),
		f("rating_time", count("long", "1", "12")),
		f("channel", text("web", "iOS", "ios", "iOS-test", "android")),
		f("message", text("the seat was wider than I had hoped", "two hours late, nobody said why", "meh", "friendly crew, cold coffee",
			"my bag flew somewhere else", "best landing I have had", "the window shade was stuck", "thank you for the upgrade!",
			"boarding took longer than the flight", "would fly again", "airport refurb looks great, more power sockets please")))
}

func shop(all map[string]string) {
	all["ORDERS"] = record("ksql.orders",
		f("ordertime", between("long", "1487715775521", "1519273364600")),
		f("orderid", from("int", "0")),
		f("itemid", regex("Item_[1-9][0-9]{0,2}")),
		f("orderunits", between("double", "0.1", "10.0")),
		f("address", strings.TrimSpace(record("address",
			f("city", regex("City_[1-9]{0,2}")),
			f("state", regex("State_[1-9]{0,2}")),
			f("zipcode", between("long", "10000", "99999"))))))
	all["STOCK_TRADES"] = record("ksql.StockTrade",
		f("side", text("BUY", "SELL")+`, "doc": "Whether the trader bought or sold."`),
		f("quantity", between("int", "1", "5000")+`, "doc": "How many shares."`),
		f("symbol", text("ZBZX", "ZJZZT", "ZTEST", "ZVV", "ZVZZT", "ZWZZT", "ZXZZT")+`, "doc": "A symbol that exchanges keep for tests."`),
		f("price", between("int", "5", "1000")+`, "doc": "The price of one share, in cents."`),
		f("account", text("ABC123", "LMN456", "XYZ789")+`, "doc": "The account that the trade is booked on."`),
		f("userid", regex("User_[1-9]")+`, "doc": "Who traded."`))
	all["INVENTORY"] = record("ksql.inventory", f("id", from("long", "0")), f("quantity", from("long", "0")), f("productid", from("long", "0")))
	all["PRODUCT"] = record("ksql.product",
		f("id", from("long", "0")), f("name", from("string", "0")), f("description", from("string", "0")), f("price", from("double", "0")))
	all["PURCHASES"] = record("datagen.example.purchase",
		f("id", from("long", "0")),
		f("item_type", text("anchor", "bellows", "candle", "drum", "easel", "funnel", "gloves", "hammock", "inkwell", "jar", "kite", "lamp",
			"mirror", "needle", "oar", "pillow")),
		f("quantity", between("long", "1", "10")),
		f("price_per_unit", `{"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2, `+
			`"arg.properties": {"range": {"min": 10.00, "max": 50.00}}}`))
	all["TRANSACTIONS"] = record("datagen.example.transactions",
		f("transaction_id", from("long", "1")), f("card_id", between("long", "1", "24")), f("user_id", regex("User_[1-9]{0,1}")),
		f("purchase_id", from("long", "0")), f("store_id", between("int", "1", "7")))
	all["STORES"] = drawn("datagen.example.stores",
		[][2]string{f("store_id", plain("int")), f("city", plain("string")), f("state", plain("string"))},
		[][]any{{1, "Raleigh", "NC"}, {2, "Chicago", "IL"}, {3, "Sacramento", "CA"}, {4, "Austin", "TX"}, {5, "Boston", "MA"}, {6, "Atlanta", "GA"},
			{7, "Portland", "OR"}})
	r := source(1)
	var cards [][]any
	for i := range 24 {
		cards = append(cards, []any{i + 1, 9_000_000_000_000_000 + r.Int64N(1_000_000_000_000_000), 100 + r.IntN(900),
			fmt.Sprintf("%02d/%02d", 1+r.IntN(12), 27+r.IntN(6))})
	}
	all["CREDIT_CARDS"] = drawn("datagen.example.users", [][2]string{f("card_id", plain("int")), f("card_number", plain("long")),
		f("cvv", plain("int")), f("expiration_date", plain("string"))}, cards)
	all["CAMPAIGN_FINANCE"] = record("datagen.campaign_finance",
		f("time", between("long", "1587715775521", "1619273364600")), f("candidate_id", regex("[A-Z][1-9]{8,8}")),
		f("party_affiliation", text("REP", "DEM", "IND")), f("contribution", between("int", "20", "3500")))
	pizza(all)
}

func pizza(all map[string]string) {
	line := [][2]string{f("product_id", plain("int")), f("category", plain("string")), f("quantity", plain("int")),
		f("unit_price", plain("double")), f("net_price", plain("double"))}
	r := source(2)
	var rows [][]any
	for i := range 100 {
		quantity, cents := 1+r.IntN(5), 199+r.IntN(2300)
		rows = append(rows, []any{i, one(r, "pizza", "salad", "dessert", "calzone", "wings", "drink"), quantity, float64(cents) / 100,
			float64(quantity*cents) / 100})
	}
	items := strings.TrimSpace(drawn("order_line", line, rows))
	store, date := f("store_id", between("int", "1", "10")), f("date", dates())
	all["PIZZA_ORDERS"] = record("pizza_orders.pizza_orders", store,
		f("store_order_id", count("int", "1000", "1")), f("coupon_code", between("int", "1000", "2000")), date, f("status", text("accepted")),
		f("order_lines", `{"type": "array", "items": `+items+`, "arg.properties": {"length": {"min": 1, "max": 5}}}`))
	all["PIZZA_ORDERS_COMPLETED"] = record("pizza_orders.pizza_orders_completed", store,
		f("store_order_id", count("int", "1000", "2")), date, f("status", text("completed")),
		f("rack_time_secs", between("int", "130", "230")), f("order_delivery_time_secs", between("int", "1100", "2000")))
	all["PIZZA_ORDERS_CANCELLED"] = record("pizza_orders.pizza_orders_cancelled", store,
		f("store_order_id", count("int", "1001", "2")), date, f("status", text("cancelled")))
}

func fleet(all map[string]string) {
	vehicle := f("vehicle_id", between("int", "1000", "9999"))
	all["FLEET_MGMT_DESCRIPTION"] = record("fleet_mgmt.fleet_mgmt_description", vehicle,
		f("driver_name", text(names(source(3), 100)...)), f("license_plate", regex(`[A-Z]{2}\d{6}[A-Z]`)))
	all["FLEET_MGMT_LOCATION"] = record("fleet_mgmt.fleet_mgmt_location", vehicle,
		f("location", strings.TrimSpace(record("location", f("latitude", plain("double")), f("longitude", plain("double"))))),
		f("ts", timestamps("1609459200000", "100000")))
	all["FLEET_MGMT_SENSORS"] = record("fleet_mgmt.fleet_mgmt_sensors", vehicle,
		f("engine_temperature", between("int", "150", "250")), f("average_rpm", between("int", "1800", "5000")))
}

func people(all map[string]string) {
	all["INSURANCE_OFFERS"] = drawn("insurance.insurance_offers",
		[][2]string{f("offer_id", plain("int")), f("offer_name", plain("string")), f("offer_url", plain("string"))}, [][]any{
			{1, "new_car", "https://insurance.example/offers/new_car"}, {2, "renewal", "https://insurance.example/offers/renewal"},
			{3, "home_bundle", "https://insurance.example/offers/home_bundle"}, {4, "safe_driver", "https://insurance.example/offers/safe_driver"},
			{5, "student", "https://insurance.example/offers/student"}})
	r := source(4)
	var customers [][]any
	var ids []int
	for i := range 150 {
		first, last := one(r, firstNames...), one(r, lastNames...)
		ids = append(ids, i+1)
		customers = append(customers, []any{i + 1, first, last, email(first, last, i), one(r, genders...), 18_000 + 500*r.IntN(300), 300 + r.IntN(551),
			r.IntN(40)})
	}
	all["INSURANCE_CUSTOMERS"] = drawn("insurance.insurance_customers", [][2]string{f("customer_id", plain("int")), f("first_name", plain("string")),
		f("last_name", plain("string")), f("email", plain("string")), f("gender", plain("string")), f("income", plain("int")),
		f("fico", plain("int")), f("years_active", plain("int"))}, customers)
	all["INSURANCE_CUSTOMER_ACTIVITY"] = record("insurance.insurance_customer_activity",
		f("activity_id", count("int", "1", "1")), f("customer_id", pick("int", ids...)),
		f("activity_type", text("web_open", "mobile_open", "new_account")), f("propensity_to_churn", between("double", "0.01", "1")),
		f("ip_address", text(addresses(r, 50)...)))
	all["GAMING_GAMES"] = record("gaming.gaming_games", f("id", between("int", "1000", "5000")),
		f("room_name", text("Amber Attic", "Blue Basement", "Copper Court", "Dusty Deck", "Emerald Edge", "Frosty Foyer", "Golden Gate Room",
			"Hidden Hall", "Indigo Inn")), f("created_date", timestamps("1609459200000", "100000")))
	var players [][]any
	for i := range 100 {
		players = append(players, []any{1001 + i, one(r, firstNames...) + " " + one(r, lastNames...), addresses(r, 1)[0]})
	}
	all["GAMING_PLAYERS"] = drawn("gaming.gaming_players",
		[][2]string{f("player_id", plain("int")), f("player_name", plain("string")), f("ip", plain("string"))}, players)
	all["GAMING_PLAYER_ACTIVITY"] = record("gaming.gaming_player_activity",
		f("player_id", between("int", "1001", "1101")), f("game_room_id", between("int", "1000", "5000")), f("points", between("int", "10", "500")),
		f("coordinates", regex(`\[[0-9][0-9],[0-9][0-9]\]`)))
	var employees [][]any
	for i := range 100 {
		first, last := one(r, firstNames...), one(r, lastNames...)
		employees = append(employees, []any{1000 + i, first, last, 18 + r.IntN(50), fmt.Sprintf("900-%02d-%04d", 10+r.IntN(40), r.IntN(10_000)),
			15 + r.IntN(60), one(r, genders...), email(first, last, i)})
	}
	all["PAYROLL_EMPLOYEE"] = drawn("payroll.payroll_employee", [][2]string{f("employee_id", plain("int")), f("first_name", plain("string")),
		f("last_name", plain("string")), f("age", plain("int")), f("ssn", plain("string")), f("hourly_rate", plain("int")),
		f("gender", plain("string")), f("email", plain("string"))}, employees)
	employee := f("employee_id", between("int", "1000", "1100"))
	all["PAYROLL_EMPLOYEE_LOCATION"] = record("payroll.payroll_employee_location", employee,
		f("lab", regex(`lab-\d{1}`)), f("department_id", between("int", "1", "10")), f("arrival_date", dates()))
	all["PAYROLL_BONUS"] = record("payroll.payroll_bonus", employee, f("bonus", between("int", "10", "50")),
		f("ts", typed("long", "timestamp-millis", "range", `{"min": 1609459200000, "max": 1640995199000}`)))
}

func logs(all map[string]string) {
	r := source(5)
	word := regex("[a-z]{5}")
	all["SYSLOG_LOGS"] = record("syslogs.syslog_logs",
		f("name", regex("[a-zA-Z]{5,8}")), f("type", text("RFC5424", "RFC3164", "CEF", "UNKNOWN")), f("message", regex("[a-z ]{10,15}")),
		f("host", text(addresses(r, 10)...)), f("version", text("3.25.1")), f("tag", text(".source.s_src")), f("level", between("int", "0", "191")),
		f("facility", text("syslog", "authpriv", "cron")), f("severity", between("int", "0", "8")), f("appName", regex("[A-Z]{5,8}")),
		f("remoteAddress", text(addresses(r, 10)...)), f("rawMessage", regex("[a-z ]{10,15}")), f("processId", regex("[1-9]{1}[0-9]{6}")),
		f("messageId", regex("[1-9]{1}[0-9]{2}")), f("deviceVendor", word), f("deviceProduct", word),
		f("deviceVersion", text("1.0", "2.0", "3.0", "4.0", "5.0")), f("ts", count("long", "1609459200000", "100")))
	var macs []string
	for range 50 {
		macs = append(macs, fmt.Sprintf("02-00-5E-%02X-%02X-%02X", r.IntN(256), r.IntN(256), r.IntN(256)))
	}
	all["DEVICE_INFORMATION"] = record("device_information.device_information",
		f("device_ip", text(addresses(r, 100)...)), f("mac_address", text(macs...)), f("owner", text(names(r, 100)...)))
	end := func(name string) [2]string {
		return f(name, strings.TrimSpace(record(name, f("ip", text(addresses(r, 100)...)), f("port", between("int", "10000", "99999")))))
	}
	all["SIEM_LOGS"] = record("siem_logs.siem_logs",
		f("hostname", text(addresses(r, 100)...)), f("action", text("allow", "deny")), f("l4", text("tcp")),
		f("access_group", text("group-1", "group-2", "group-3", "group-4", "admin")), end("source"), end("destination"))
}

func shoes(all map[string]string) {
	r := source(6)
	brands := []string{"Alder & Finch", "Brightfoot", "Cobblestone", "Dunewalk", "Everstep", "Fernway", "Gritworks", "Harrier"}
	kinds := []string{"Trail", "Court", "Road", "Track", "Summit", "Harbor", "Canyon", "Studio"}
	models := []string{"Comet", "Drift", "Ember", "Falcon", "Glide", "Ibex", "Juniper", "Lynx", "Meteor", "Otter"}
	var products [][]any
	var productIDs, customerIDs []string
	for range 643 {
		id := uuid(r)
		productIDs = append(productIDs, id)
		products = append(products, []any{id, one(r, brands...), fmt.Sprintf("%s %s %d", one(r, kinds...), one(r, models...), 100+r.IntN(900)),
			100*(20+r.IntN(180)) - 5, float64(r.IntN(51)) / 10})
	}
	all["SHOES"] = drawn("shoes.shoe_product", [][2]string{f("id", plain("string")), f("brand", plain("string")), f("name", plain("string")),
		f("sale_price", plain("int")), f("rating", plain("double"))}, products)
	var customers [][]any
	for i := range 301 {
		id, first, last := uuid(r), one(r, firstNames...), one(r, lastNames...)
		customerIDs = append(customerIDs, id)
		customers = append(customers, []any{id, first, last, email(first, last, i), fmt.Sprintf("%d-555-01%02d", 201+r.IntN(700), r.IntN(100)),
			fmt.Sprintf("%d %s %s", 1+r.IntN(9000), one(r, lastNames...), one(r, "Street", "Lane", "Avenue", "Road")),
			one(r, "Alabama", "California", "Florida", "Georgia", "Illinois", "New York", "Ohio", "Oregon", "Texas", "Virginia"),
			fmt.Sprintf("%05d", 10_000+r.IntN(89_999)), "United States", "US"})
	}
	all["SHOE_CUSTOMERS"] = drawn("shoes.shoe_customers", [][2]string{f("id", plain("string")), f("first_name", plain("string")),
		f("last_name", plain("string")), f("email", plain("string")), f("phone", plain("string")), f("street_address", plain("string")),
		f("state", plain("string")), f("zip_code", plain("string")), f("country", plain("string")), f("country_code", plain("string"))}, customers)
	all["SHOE_ORDERS"] = record("shoes.shoe_orders", f("order_id", count("int", "1000", "1")), f("product_id", text(productIDs...)),
		f("customer_id", text(customerIDs...)), f("ts", timestamps("1609459200000", "100000")))
	all["SHOE_CLICKSTREAM"] = record("shoes.shoe_clickstream", f("product_id", text(productIDs...)), f("user_id", text(customerIDs...)),
		f("view_time", between("int", "10", "120")), f("page_url", regex("https://www[.]acme[.]com/product/[a-z]{5}")),
		f("ip", text(addresses(r, 100)...)), f("ts", timestamps("1609457200000", "10000")))
}

var (
	firstNames = strings.Fields("Ada Bruno Carla Dmitri Elena Farid Greta Hiro Ines Jonas Katya Liam Maya Nils Olga Pedro Quinn Rosa Sven Tara " +
		"Umar Vera Wim Xenia Yusuf Zoe Anouk Boris Chloe Dario")
	lastNames = strings.Fields("Adler Bell Castro Dahl Evans Fischer Garcia Hansen Ito Jansen Keller Lopez Moreau Novak Okafor Petrov Quist Rossi " +
		"Sato Tanaka Ueda Vogel Weber Xu Young Zeman Abbas Brandt Costa Dubois")
	genders = []string{"Female", "Male", "Non-binary"}
)

// source is a source of the made-up lists: each list has its own, so that a change of one leaves the others.
func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func one[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func names(r *rand.Rand, n int) []string {
	var out []string
	for range n {
		out = append(out, one(r, firstNames...)+" "+one(r, lastNames...))
	}
	return out
}

func handles(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s_%d", strings.ToLower(firstNames[i%len(firstNames)]), 10+7*i))
	}
	return out
}

func email(first, last string, i int) string {
	return strings.ToLower(fmt.Sprintf("%s.%s%d@example.com", first, last, i))
}

// addresses are of the networks that are set aside for documentation and for private use.
func addresses(r *rand.Rand, n int) []string {
	var out []string
	for range n {
		private := fmt.Sprintf("10.%d.%d", r.IntN(256), r.IntN(256))
		out = append(out, fmt.Sprintf("%s.%d", one(r, "192.0.2", "198.51.100", "203.0.113", private), 1+r.IntN(254)))
	}
	return out
}

func uuid(r *rand.Rand) string {
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), 0x8000|r.IntN(1<<14), r.Int64N(1<<48))
}
